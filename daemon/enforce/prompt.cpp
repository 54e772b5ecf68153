#include "daemon/enforce/prompt.hpp"

#include "base/process.hpp"
#include "daemon/enforce/scope.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string_view>

namespace vigil::enforce {

namespace {

constexpr std::string_view unit_prefix = "vigil-lock-";
constexpr const char* prompts_slice = "/system.slice";
constexpr const char* program = "/usr/libexec/vigil/vigil-lock";

/// vigil-lock's "done, do not start me again".
constexpr int exit_done = 10;

constexpr std::uint64_t restart_pause = 100'000;   // µs
constexpr std::uint64_t stop_patience = 2'000'000; // µs; a prompt must not delay a shutdown

class UnitProperties {
public:
    explicit UnitProperties(sd_bus_message* message) noexcept : message_{message} {}

    void text(const char* name, const char* value) noexcept {
        add(sd_bus_message_append(message_, "(sv)", name, "s", value));
    }
    void number(const char* name, std::uint64_t value) noexcept {
        add(sd_bus_message_append(message_, "(sv)", name, "t", value));
    }
    void flag(const char* name, bool value) noexcept {
        add(sd_bus_message_append(message_, "(sv)", name, "b", static_cast<int>(value)));
    }
    void exit_status(const char* name, int status) noexcept {
        add(sd_bus_message_append(message_, "(sv)", name, "(aiai)", 1, status, 0));
    }
    void command(const char* path, const char* first, const char* second) noexcept {
        add(sd_bus_message_append(message_, "(sv)", "ExecStart", "a(sasb)", 1, path, 3, path, first,
                                  second, 0));
    }
    void command(const char* path, const char* option, const char* first,
                 const char* second) noexcept {
        add(sd_bus_message_append(message_, "(sv)", "ExecStart", "a(sasb)", 1, path, 4, path,
                                  option, first, second, 0));
    }
    void environment(const std::string& first, const std::string& second) noexcept {
        add(sd_bus_message_append(message_, "(sv)", "Environment", "as", 2, first.c_str(),
                                  second.c_str()));
    }
    int result() const noexcept { return result_; }

private:
    void add(int r) noexcept {
        if (result_ >= 0 && r < 0)
            result_ = r;
    }

    sd_bus_message* message_;
    int result_ = 0;
};

int append_properties(sd_bus_message* message, const core::SessionRecord& known,
                      const std::string& terminal_path, const std::string& lock_console) {
    int r = sd_bus_message_open_container(message, 'a', "(sv)");
    if (r < 0)
        return r;
    const std::string session = known.id.text();
    UnitProperties add{message};
    add.text("Description", ("Lock screen on " + terminal_path).c_str());
    if (lock_console.empty())
        add.command(program, session.c_str(), terminal_path.c_str());
    else
        add.command(program, "--console", session.c_str(), lock_console.c_str());
    // For one that vigild never answers (terminal/held_session.hpp). Not as words: an older
    // vigil-lock, after a downgrade, would not know them.
    if (!known.cgroup.empty())
        add.environment("VIGIL_HELD=" + known.cgroup + "/" + frozen_child,
                        "VIGIL_LEADER=" + std::to_string(known.leader.pid) + ":" +
                            std::to_string(known.leader.start_time));
    add.text("Type", "exec");
    add.text("Slice", prompts_slice + 1);
    // Killed, crashed or hung up on: the lock holds, so somebody has to ask.
    add.text("Restart", "always");
    add.number("RestartUSec", restart_pause);
    add.number("StartLimitIntervalUSec", 0);
    add.exit_status("RestartPreventExitStatus", exit_done);
    add.exit_status("SuccessExitStatus", exit_done);
    add.text("CollectMode", "inactive-or-failed");
    add.text("KillMode", "control-group");
    // At a shutdown it sees its session's end first: without a vigild it has to end what stands
    // still.
    add.flag("DefaultDependencies", false);
    add.number("TimeoutStopUSec", stop_patience);
    // It has typed passwords in its memory. No more than this: what a PAM stack needs is not known.
    add.number("LimitCORE", 0);
    add.flag("LockPersonality", true);
    add.flag("RestrictRealtime", true);
    if (add.result() < 0)
        return add.result();
    r = sd_bus_message_close_container(message);
    return r < 0 ? r : sd_bus_message_append(message, "a(sa(sv))", 0);
}

/// There already. If it is just being stopped, as after a lock that followed an unlock at once, it
/// has to start again; if it runs, this changes nothing.
void start_existing(ServiceManager& pid1, const std::string& unit,
                    std::function<void(const std::string&)> on_failure) {
    const auto call = pid1.new_call("StartUnit");
    if (!call)
        return on_failure(call.error().text());
    const int r = sd_bus_message_append(call->get(), "ss", unit.c_str(), "replace");
    if (r < 0)
        return on_failure(fail(r, "starting " + unit).error().text());
    const auto sent =
        pid1.send(*call, "starting " + unit,
                  [on_failure](const std::string&, const std::string& line) { on_failure(line); });
    if (!sent)
        on_failure(sent.error().text());
}

std::string prompt_cgroup(const core::SessionId& session, const std::string& terminal_path) {
    return std::string{prompts_slice} + "/" + prompt_unit(session, terminal_path);
}

std::vector<pid_t> prompt_processes(const core::SessionId& session,
                                    const std::string& terminal_path) {
    return base::processes_in(prompt_cgroup(session, terminal_path)).value_or(std::vector<pid_t>{});
}

void signal_prompt(const core::SessionId& session, const std::string& terminal_path, int signal) {
    const std::string cgroup = prompt_cgroup(session, terminal_path);
    for (const pid_t pid : prompt_processes(session, terminal_path)) {
        const auto pidfd = base::open_pidfd(pid);
        // The number may be another process's by now; that of the pidfd stays what it is.
        if (pidfd && base::cgroup_of(pid).value_or("") == cgroup)
            static_cast<void>(base::send_signal(pidfd->get(), signal));
    }
}

} // namespace

std::string prompt_unit(const core::SessionId& session, const std::string& terminal_path) {
    std::string_view name = terminal_path;
    if (name.starts_with("/dev/"))
        name.remove_prefix(5);
    std::string unit = std::string{unit_prefix} + session.text() + "-";
    for (const char c : name) {
        const bool plain =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        unit += plain ? c : '-';
    }
    return unit + ".service";
}

std::optional<core::SessionId> prompted_session(const std::vector<Terminal>& terminals) {
    constexpr std::size_t id_at = unit_prefix.size();
    constexpr std::size_t id_size = 32;
    const auto units = base::children_of(prompts_slice);
    if (!units)
        return std::nullopt;
    for (const auto& unit : *units) {
        if (!unit.starts_with(unit_prefix) || unit.size() < id_at + id_size)
            continue;
        const auto id = core::SessionId::from_text(unit.substr(id_at, id_size));
        if (id && std::ranges::any_of(terminals, [&](const Terminal& terminal) {
                return prompt_unit(*id, terminal.path) == unit;
            }))
            return id;
    }
    return std::nullopt;
}

std::vector<pid_t> prompt_processes_at(const Terminal& terminal) {
    const auto session = prompted_session({terminal});
    return session ? prompt_processes(*session, terminal.path) : std::vector<pid_t>{};
}

std::optional<std::string> place_of_prompt(const core::SessionId& session,
                                           const std::string& terminal_path) {
    for (const pid_t pid : prompt_processes(session, terminal_path)) {
        auto words = base::read_small_file(base::proc_path(pid, "cmdline"));
        if (!words || words->empty())
            continue;
        words->pop_back(); // each word ends with NUL
        const std::size_t before = words->rfind('\0');
        return before == words->npos ? *words : words->substr(before + 1);
    }
    return std::nullopt;
}

Result<> start_prompt(ServiceManager& pid1, const core::SessionRecord& known,
                      const std::string& terminal_path, const std::string& lock_console,
                      std::function<void(const std::string&)> on_failure) {
    const auto call = pid1.new_call("StartTransientUnit");
    if (!call)
        return std::unexpected{call.error()};
    const std::string unit = prompt_unit(known.id, terminal_path);
    int r = sd_bus_message_append(call->get(), "ss", unit.c_str(), "fail");
    if (r >= 0)
        r = append_properties(call->get(), known, terminal_path, lock_console);
    if (r < 0)
        return fail(r, "describing " + unit);
    return pid1.send(*call, "starting " + unit,
                     [&pid1, unit, on_failure = std::move(on_failure)](const std::string& name,
                                                                       const std::string& line) {
                         if (name == "org.freedesktop.systemd1.UnitExists")
                             return start_existing(pid1, unit, on_failure);
                         on_failure(line);
                     });
}

void dismiss_prompt(const core::SessionId& session, const std::string& terminal_path) {
    signal_prompt(session, terminal_path, SIGTERM);
}

void renew_prompt(const core::SessionId& session, const std::string& terminal_path) {
    signal_prompt(session, terminal_path, SIGKILL); // PID 1 starts another (Restart=)
}

Result<> stop_prompt(ServiceManager& pid1, const core::SessionId& session,
                     const std::string& terminal_path) {
    const auto call = pid1.new_call("StopUnit");
    if (!call)
        return std::unexpected{call.error()};
    const std::string unit = prompt_unit(session, terminal_path);
    const int r = sd_bus_message_append(call->get(), "ss", unit.c_str(), "replace");
    if (r < 0)
        return fail(r, "stopping " + unit);
    // One that is not there is stopped.
    return pid1.send(*call, "stopping " + unit, {});
}

} // namespace vigil::enforce
