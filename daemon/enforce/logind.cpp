#include "daemon/enforce/logind.hpp"

#include "base/c_string.hpp"
#include "base/cgroup.hpp"
#include "daemon/enforce/bus_call.hpp"
#include "daemon/enforce/scope.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>

#include <systemd/sd-login.h>

namespace vigil::enforce {

namespace {

/// Newer systemd has root's logins, and those without a service manager, in classes of their own;
/// `manager` and the like are no logins.
bool is_login(std::string_view session_class) noexcept {
    return session_class == "user" || session_class == "user-early" ||
           session_class == "user-light" || session_class == "user-early-light";
}

/// One of sd-login's getters that hand out a string of malloc's. "" where logind has none.
std::string text_of(int (*get)(const char*, char**), const std::string& id) {
    char* value = nullptr;
    const int r = get(id.c_str(), &value);
    const base::CString owner{value};
    return r >= 0 && value != nullptr ? value : "";
}

/// Leader, user and time stamp have no getter in the library of systemd 252; the file that the
/// library itself reads has had them since logind began.
std::optional<std::string_view> value_in(std::string_view file, std::string_view name) {
    while (!file.empty()) {
        const std::size_t end = std::min(file.find('\n'), file.size());
        const std::string_view line = file.substr(0, end);
        file.remove_prefix(std::min(end + 1, file.size()));
        if (line.starts_with(name) && line.substr(name.size()).starts_with('='))
            return line.substr(name.size() + 1);
    }
    return std::nullopt;
}

std::optional<std::uint64_t> number_in(std::string_view file, std::string_view name) {
    const auto value = value_in(file, name).value_or("");
    std::uint64_t number = 0;
    const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc{} || stop != value.data() + value.size())
        return std::nullopt;
    return number;
}

bool is_session_id(const std::string& id) noexcept {
    return !id.empty() && id.size() <= 64 && std::ranges::all_of(id, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    });
}

/// "/user.slice/user-1000.slice/session-1.scope/below" -> up to the scope.
Result<std::string> scope_of(pid_t pid) {
    const auto cgroup = base::cgroup_of(pid);
    if (!cgroup)
        return cgroup;
    constexpr std::string_view suffix = ".scope";
    for (std::size_t at = cgroup->find(suffix); at != cgroup->npos;
         at = cgroup->find(suffix, at + 1)) {
        const std::size_t end = at + suffix.size();
        if (end == cgroup->size() || (*cgroup)[end] == '/')
            return cgroup->substr(0, end);
    }
    return fail(ENODATA, "process " + std::to_string(pid) + " is in no scope");
}

} // namespace

Result<LogindSession> logind_session(const std::string& id) {
    if (!is_session_id(id))
        return fail(EINVAL, "no id of a session");
    LogindSession session{.id = id};
    if (const int r = sd_session_get_uid(id.c_str(), &session.uid); r < 0)
        return fail(r, "session " + id + " of logind's");
    const auto file = base::read_small_file("/run/systemd/sessions/" + id);
    if (!file)
        return fail(file.error().code == ENOENT ? ENXIO : file.error().code, file.error().what);
    const auto leader = number_in(*file, "LEADER");
    if (!leader)
        return fail(ENXIO, "session " + id + " of logind's has no leader");
    const auto stat = base::read_process_stat(static_cast<pid_t>(*leader));
    if (!stat)
        return std::unexpected{stat.error()};
    session.leader = {.pid = stat->pid, .start_time = stat->start_time};
    // The number is in a file: that the process is in the session is what makes it the leader.
    const auto own = logind_session_of(stat->pid);
    if (!own)
        return std::unexpected{own.error()};
    if (*own != id)
        return fail(ENXIO, "the leader of session " + id + " is gone");
    auto scope = scope_of(stat->pid);
    if (!scope)
        return std::unexpected{scope.error()};
    session.scope = std::move(*scope);
    session.since = WallTime{Microseconds{number_in(*file, "REALTIME").value_or(0)}};
    session.user = value_in(*file, "USER").value_or("");
    session.service = text_of(sd_session_get_service, id);
    session.terminal = text_of(sd_session_get_tty, id);
    session.remote_host = text_of(sd_session_get_remote_host, id);
    session.type = text_of(sd_session_get_type, id);
    session.is_login = is_login(text_of(sd_session_get_class, id));
    return session;
}

bool is_graphical(std::string_view type) noexcept {
    return type == "x11" || type == "wayland" || type == "mir";
}

Result<std::vector<LogindSession>> logind_sessions() {
    char** raw = nullptr;
    const int r = sd_get_sessions(&raw);
    if (r < 0)
        return fail(r, "asking for the sessions of logind");
    const base::CStringList list{raw};
    std::vector<base::CString> ids;
    for (char** at = raw; at != nullptr && *at != nullptr; ++at)
        ids.emplace_back(*at);
    std::vector<LogindSession> sessions;
    for (const base::CString& owner : ids) {
        const std::string id = owner.get();
        if (text_of(sd_session_get_state, id) == "closing")
            continue;
        if (auto session = logind_session(id); session && session->is_login)
            sessions.push_back(std::move(*session));
    }
    return sessions;
}

std::optional<std::string> session_in_cgroup(std::string_view cgroup) {
    constexpr std::string_view prefix = "session-";
    constexpr std::string_view suffix = ".scope";
    while (cgroup.starts_with('/')) {
        cgroup.remove_prefix(1);
        const auto unit = cgroup.substr(0, cgroup.find('/'));
        cgroup.remove_prefix(unit.size());
        if (unit.ends_with(".slice"))
            continue;
        if (unit.size() <= prefix.size() + suffix.size() || !unit.starts_with(prefix) ||
            !unit.ends_with(suffix))
            return std::nullopt;
        std::string id{unit.substr(prefix.size(), unit.size() - prefix.size() - suffix.size())};
        return is_session_id(id) ? std::optional{std::move(id)} : std::nullopt;
    }
    return std::nullopt;
}

namespace {

/// Where PID 1's own tree begins: "", but in a container that has no cgroup namespace. It stays so
/// for as long as the machine is up.
Result<std::string> tree_of_pid1() {
    auto cgroup = base::cgroup_of(1);
    if (!cgroup)
        return cgroup;
    constexpr std::string_view own = "/init.scope";
    if (cgroup->ends_with(own))
        cgroup->resize(cgroup->size() - own.size());
    return *cgroup == "/" ? std::string{} : *cgroup;
}

/// By libsystemd, where there is no cgroup v2 to read it from.
Result<std::string> session_by_library(pid_t pid) {
    char* raw = nullptr;
    const int r = sd_pid_get_session(pid, &raw);
    const base::CString owner{raw};
    if (r < 0)
        return fail(r, "the session of process " + std::to_string(pid));
    return std::string{raw};
}

} // namespace

Result<std::string> logind_session_of(pid_t pid) {
    static const Result<std::string> tree = tree_of_pid1();
    const auto cgroup = base::cgroup_of(pid);
    if (!cgroup && cgroup.error().code != ENODATA)
        return cgroup;
    if (!cgroup || !tree || *cgroup == "/")
        return session_by_library(pid);
    const bool is_below = base::is_within(*cgroup, *tree);
    auto id = session_in_cgroup(std::string_view{*cgroup}.substr(is_below ? tree->size() : 0));
    if (!id)
        return fail(ENXIO, "process " + std::to_string(pid) + " is in no session");
    return std::move(*id);
}

Result<> terminate_session(sd_bus* system_bus, const std::string& id,
                           std::function<void(const std::string&)> on_failure) {
    const auto call = new_call(system_bus, login_manager, "TerminateSession");
    if (!call)
        return std::unexpected{call.error()};
    const int r = sd_bus_message_append(call->get(), "s", id.c_str());
    if (r < 0)
        return fail(r, "ending session " + id);
    return send_call(
        system_bus, *call, "ending session " + id,
        [on_failure = std::move(on_failure)](const std::string& name, const std::string& line) {
            // It ended meanwhile: what was asked for.
            if (name != "org.freedesktop.login1.NoSuchSession")
                on_failure(line);
        });
}

} // namespace vigil::enforce
