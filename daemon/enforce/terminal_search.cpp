#include "base/cgroup.hpp"
#include "base/directory.hpp"
#include "base/process.hpp"
#include "base/pty.hpp"
#include "daemon/enforce/connection.hpp"
#include "daemon/enforce/descriptors.hpp"
#include "daemon/enforce/terminal_file.hpp"

#include <algorithm>
#include <cerrno>
#include <map>

#include <linux/major.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace vigil::enforce {

namespace {

/// Then nothing is there. What could not be looked at for any other reason may be.
bool is_gone(const Error& error) noexcept {
    return error.code == ESRCH || error.code == ENOENT;
}

/// Calls `use(descriptor, terminal)` for the pty masters that a process has open. One that is gone
/// has none.
Result<> for_masters_of(pid_t pid, const std::function<void(int fd, Terminal terminal)>& use) {
    Result<> seen{};
    auto looked = base::for_numbers_in(base::proc_path(pid, "fdinfo"), [&](int, int fd) {
        const auto index = base::read_pty_index(pid, fd);
        if (index && !*index)
            return true;
        auto terminal = index ? pty_terminal(**index) : std::unexpected{index.error()};
        if (terminal)
            use(fd, std::move(*terminal));
        else if (!is_gone(terminal.error()))
            seen = std::unexpected{terminal.error()};
        return seen.has_value();
    });
    return looked || is_gone(looked.error()) ? seen : looked;
}

/// 0: none has the terminal. An error: it was closed meanwhile, say.
Result<pid_t> controlling_session(pid_t carrier, int fd, const Terminal& terminal) {
    const auto master = fetch_descriptor(carrier, fd);
    if (!master)
        return std::unexpected{master.error()};
    unsigned index = 0;
    pid_t session = 0;
    if (::ioctl(master->get(), TIOCGPTN, &index) < 0)
        return fail(errno, "asking a terminal for its number");
    const auto own = pty_terminal(index);
    if (!own || !(*own == terminal)) // another was opened under its number
        return fail(ESTALE, terminal.path);
    if (::ioctl(master->get(), TIOCGSID, &session) < 0 && errno != ENOTTY)
        return fail(errno, "asking a terminal for its session");
    return session;
}

/// The terminal that login(1) and its like were started on: the leader's own, or, as login gives
/// it to the shell, its child's.
Result<> add_controlling(const std::vector<pid_t>& processes, pid_t leader,
                         std::vector<Terminal>& terminals) {
    for (const pid_t pid : processes) {
        const auto stat = base::read_process_stat(pid);
        if (!stat && !is_gone(stat.error()))
            return std::unexpected{stat.error()};
        if (!stat || stat->terminal == 0 || (pid != leader && stat->parent != leader) ||
            find(terminals, stat->terminal) != nullptr)
            continue;
        auto terminal = terminal_of(stat->terminal);
        if (terminal)
            terminals.push_back(std::move(*terminal));
        else if (!is_gone(terminal.error()))
            return std::unexpected{terminal.error()};
    }
    return {};
}

/// By the name that PAM has for it. nullopt: one below /dev/pts, which goes with its master, or no
/// line at all ("ssh", ":0"), or what stands for another ("console").
std::optional<Terminal> line_named(std::string_view pam_terminal) {
    constexpr std::string_view dev = "/dev/";
    if (pam_terminal.starts_with(dev))
        pam_terminal.remove_prefix(dev.size());
    const std::string name{pam_terminal};
    struct stat node{};
    if (name.empty() || name.contains('/') ||
        ::access(("/sys/class/tty/" + name).c_str(), F_OK) < 0 ||
        ::lstat((std::string{dev} + name).c_str(), &node) < 0 ||
        major(node.st_rdev) == TTYAUX_MAJOR)
        return std::nullopt;
    const auto line = terminal_of(node.st_rdev);
    return line ? std::optional{*line} : std::nullopt;
}

} // namespace

Result<Controlling> controlling_sessions(const std::vector<pid_t>& carriers,
                                         const std::vector<Terminal>& terminals) {
    std::map<std::uint64_t, std::optional<pid_t>> sessions; // by device, of those that are there
    for (const pid_t carrier : carriers) {
        const auto looked = for_masters_of(carrier, [&](int fd, const Terminal& terminal) {
            if (find(terminals, terminal.device) == nullptr)
                return;
            auto& session = sessions[terminal.device];
            if (session)
                return;
            if (const auto told = controlling_session(carrier, fd, terminal))
                session = *told;
        });
        if (!looked)
            return std::unexpected{looked.error()};
    }
    Controlling found;
    for (const auto& terminal : terminals) {
        const auto session = sessions.find(terminal.device);
        if (session == sessions.end())
            found.closed.push_back(terminal);
        else if (!session->second)
            found.untold.push_back(terminal);
        else
            found.sessions.push_back(*session->second);
    }
    return found;
}

std::vector<Terminal> shut_among(const std::vector<core::SavedTerminal>& saved) {
    std::vector<Terminal> shut;
    for (const auto& one : saved)
        if (one.lock_console != 0)
            shut.push_back({one.path, one.device});
    return shut;
}

Result<std::vector<Terminal>> find_terminals(const Whose& whose) {
    auto found = look_for_terminals(whose);
    if (!found)
        return std::unexpected{found.error()};
    return std::move(found->terminals);
}

Result<FoundTerminals> look_for_terminals(const Whose& whose) {
    const auto processes =
        whose.scope.empty() ? leader_and_children(whose.leader) : base::processes_in(whose.scope);
    if (!processes)
        return std::unexpected{processes.error()};
    std::vector<Terminal> terminals;
    const std::vector<pid_t> carriers = carriers_of(*processes, whose.leader);
    for (const pid_t pid : carriers) {
        const auto looked = for_masters_of(pid, [&](int, Terminal terminal) {
            if (find(terminals, terminal.device) == nullptr)
                terminals.push_back(std::move(terminal));
        });
        if (!looked)
            return std::unexpected{looked.error()};
    }
    const bool has_leader = !carriers.empty();
    if (terminals.empty() && has_leader) {
        if (auto line = line_named(whose.begun_at))
            terminals.push_back(std::move(*line));
        else if (const auto looked = add_controlling(*processes, whose.leader, terminals); !looked)
            return std::unexpected{looked.error()};
    }
    for (const Terminal& terminal : whose.shut)
        if (has_leader && find(terminals, terminal.device) == nullptr)
            terminals.push_back(terminal);
    return FoundTerminals{.terminals = std::move(terminals), .has_leader = has_leader};
}

} // namespace vigil::enforce
