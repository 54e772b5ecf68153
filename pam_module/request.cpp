#include "pam_module/request.hpp"

#include "base/process.hpp"
#include "wire/names.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <grp.h>
#include <pwd.h>
#include <security/pam_modutil.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vigil::pam {

namespace {

constexpr std::size_t max_group_entry_bytes = 1024 * 1024; // its members count, too

/// Stands for a text that is there but cannot be what it should be. It is no address, no name of a
/// terminal and not empty, so no rule takes it for a local or a well-known one.
constexpr const char* unfit = "?";

std::string text_item(pam_handle_t* pam, int item) {
    const void* value = nullptr;
    if (pam_get_item(pam, item, &value) != PAM_SUCCESS || !value)
        return {};
    return static_cast<const char*>(value);
}

/// Host and terminal may come from far away: one that the bus would not carry must not make the
/// whole request fail, because on the login path that would mean no limits.
std::string fit(std::string text, std::size_t most) {
    const auto is_plain = [](char c) { return c > ' ' && c < 0x7F; };
    if (text.size() > most || !std::ranges::all_of(text, is_plain))
        return unfit;
    return text;
}

/// Name of a group; empty if it has none.
Result<std::string> group_name(gid_t gid) {
    std::string buffer(4096, '\0');
    while (true) {
        group entry{};
        group* found = nullptr;
        const int r = getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found);
        if (r == 0)
            return found ? std::string{entry.gr_name} : std::string{};
        if (r == EINTR)
            continue;
        if (r != ERANGE || buffer.size() >= max_group_entry_bytes)
            return fail(r, "reading group " + std::to_string(gid));
        buffer.resize(buffer.size() * 2);
    }
}

Result<std::vector<std::string>> group_names(const std::string& user, gid_t primary) {
    std::array<gid_t, wire::max_groups> gids{};
    int count = static_cast<int>(gids.size());
    if (getgrouplist(user.c_str(), primary, gids.data(), &count) < 0)
        return fail(E2BIG,
                    "user " + user + " is in more than " + std::to_string(gids.size()) + " groups");
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) {
        auto name = group_name(gids[static_cast<std::size_t>(i)]);
        if (!name)
            return std::unexpected{name.error()};
        if (!name->empty())
            names.push_back(std::move(*name));
    }
    return names;
}

bool is_same_program(pid_t pid) {
    struct stat mine{};
    struct stat theirs{};
    return ::stat("/proc/self/exe", &mine) == 0 &&
           ::stat(("/proc/" + std::to_string(pid) + "/exe").c_str(), &theirs) == 0 &&
           mine.st_dev == theirs.st_dev && mine.st_ino == theirs.st_ino;
}

} // namespace

Service classify(std::string_view service) noexcept {
    static constexpr std::array<std::string_view, 6> untouched{
        "cron", "crond", "atd", "systemd-user", "runuser", "runuser-l"};
    static constexpr std::array<std::string_view, 6> step_up{"sudo", "sudo-i",   "su",
                                                             "su-l", "polkit-1", "doas"};
    if (service == "vigil-unlock")
        return Service::unlock;
    if (std::ranges::find(untouched, service) != untouched.end())
        return Service::untouched;
    if (std::ranges::find(step_up, service) != step_up.end())
        return Service::step_up;
    return Service::login;
}

std::string service_name(pam_handle_t* pam) {
    return text_item(pam, PAM_SERVICE);
}

std::expected<User, Outcome> find_user(pam_handle_t* pam) {
    std::string name = text_item(pam, PAM_USER);
    const passwd* const account = pam_modutil_getpwnam(pam, name.c_str());
    if (!account || name.empty() || name.size() > wire::max_user_bytes)
        return std::unexpected{Outcome::unknown_user};
    return User{.name = std::move(name), .uid = account->pw_uid, .group = account->pw_gid};
}

Result<wire::Login> gather_login(pam_handle_t* pam, const User& user) {
    auto groups = group_names(user.name, user.group);
    if (!groups)
        return std::unexpected{groups.error()};
    std::string terminal = text_item(pam, PAM_TTY);
    if (terminal.starts_with("/dev/"))
        terminal.erase(0, 5);
    return wire::Login{.user = user.name,
                       .uid = user.uid,
                       .groups = std::move(*groups),
                       .service = fit(service_name(pam), wire::max_service_bytes),
                       .terminal = fit(std::move(terminal), wire::max_terminal_bytes),
                       .remote_host = fit(text_item(pam, PAM_RHOST), wire::max_host_bytes)};
}

std::string caller_name(pam_handle_t* pam) {
    const passwd* const account = pam_modutil_getpwuid(pam, getuid());
    return account ? account->pw_name : "uid " + std::to_string(getuid());
}

Result<base::UniqueFd> open_leader(std::string_view service) {
    // With keyboard-interactive sshd calls account in a child it forked; the leader is the child's
    // session's first process, sshd's monitor. Run by hand (sshd -d) sshd has no session of its
    // own, and that process is somebody's shell: hence the look at the program.
    const pid_t session = getsid(0);
    const bool is_monitor = service == "sshd" && session > 0 && is_same_program(session);
    return base::open_pidfd(is_monitor ? session : getpid());
}

Result<base::UniqueFd> open_self() {
    return base::open_pidfd(getpid());
}

} // namespace vigil::pam
