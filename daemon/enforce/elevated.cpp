#include "daemon/enforce/elevated.hpp"

#include "base/log.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/enforce/terminal_file.hpp"
#include "daemon/enforce/work.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <ranges>
#include <string_view>

#include <sys/stat.h>

namespace vigil::enforce {

namespace {

constexpr std::array<std::string_view, 5> services_that_wait{"sudo", "sudo-i", "su", "su-l",
                                                             "doas"};

std::string below(const char* child) {
    return std::string{"/"} + child;
}

/// The first of "/name/rest" with its slash.
std::string_view first_name(std::string_view path) noexcept {
    return path.substr(0, path.find('/', 1));
}

bool is_elevated_name(std::string_view name) noexcept {
    return name.starts_with('/') && name.substr(1).starts_with(core::elevated_cgroup);
}

/// Of its cgroup, or of its part of the frozen child.
std::string scope_of(const std::string& cgroup) {
    return cgroup.substr(0, cgroup.find(std::string{"/"} + core::elevated_cgroup));
}

/// Where what is held of it is under a lock.
std::string held_part(const std::string& cgroup) {
    const auto scope = scope_of(cgroup);
    return scope + below(frozen_child) + cgroup.substr(scope.size());
}

std::vector<pid_t> all_in(const std::string& cgroup) {
    auto pids = base::processes_in(cgroup).value_or(std::vector<pid_t>{});
    std::ranges::copy(base::processes_in(held_part(cgroup)).value_or(std::vector<pid_t>{}),
                      std::back_inserter(pids));
    return pids;
}

bool is_in(pid_t pid, const std::string& cgroup) {
    return base::is_in_cgroup(pid, cgroup) || base::is_in_cgroup(pid, held_part(cgroup));
}

/// To where it was before, or what of that can take a process: while the scope's children have a
/// controller the scope itself takes none (cgroups(7)).
Result<> let_out(const std::string& cgroup, pid_t pid) {
    const auto now = base::running_cgroup_of(pid);
    const auto own = now && base::is_within(*now, held_part(cgroup)) ? held_part(cgroup) : cgroup;
    const auto outside = own.substr(0, own.rfind('/'));
    auto moved = base::write_cgroup_file(outside, "cgroup.procs", std::to_string(pid));
    if (!moved && moved.error().code == EBUSY)
        moved = base::write_cgroup_file(scope_of(cgroup) + below(work_child), "cgroup.procs",
                                        std::to_string(pid));
    if (!moved && moved.error().code == ESRCH)
        return {};
    return moved;
}

void add_below(const std::string& cgroup, const std::string& part, int depth,
               std::vector<std::string>& found) {
    for (const auto& name : base::children_of(cgroup + part).value_or(std::vector<std::string>{})) {
        const std::string inner = part + "/" + name;
        if (!is_elevated_name("/" + name))
            continue;
        found.push_back(inner);
        if (depth > 0)
            add_below(cgroup, inner, depth - 1, found);
    }
}

Result<> kill_in(const std::string& cgroup) {
    const auto killed = base::write_cgroup_file(cgroup, "cgroup.kill", "1");
    return !killed && base::is_missing(killed.error()) ? Result<>{} : killed;
}

} // namespace

std::string elevated_part(const std::string& scope, const std::string& cgroup) {
    if (scope.empty() || !base::is_within(cgroup, scope))
        return {};
    std::string_view rest = std::string_view{cgroup}.substr(scope.size());
    for (const char* child : {frozen_child, connection_child, work_child})
        if (first_name(rest) == below(child)) {
            rest.remove_prefix(first_name(rest).size());
            break;
        }
    std::string part;
    while (is_elevated_name(first_name(rest))) {
        part += first_name(rest);
        rest.remove_prefix(first_name(rest).size());
    }
    return part;
}

std::size_t elevated_depth(const std::string& part) noexcept {
    return static_cast<std::size_t>(std::ranges::count(part, '/'));
}

std::vector<std::string> elevated_below(const std::string& cgroup) {
    std::vector<std::string> found;
    add_below(cgroup, {}, base::max_cgroup_depth, found);
    return found;
}

Result<> make_elevated(const std::string& cgroup, const std::string& part) {
    std::string_view rest = part;
    std::string path = cgroup;
    while (!rest.empty()) {
        path += first_name(rest);
        rest.remove_prefix(first_name(rest).size());
        const auto directory = base::cgroup_directory(path);
        if (!directory)
            return std::unexpected{directory.error()};
        if (::mkdir(directory->c_str(), 0755) < 0 && errno != EEXIST)
            return fail(errno, "making " + *directory);
    }
    return {};
}

Result<> hold_elevated(const std::string& cgroup, const base::Process& process) {
    const auto scope = scope_of(cgroup);
    if (scope == cgroup)
        return fail(EINVAL, "no cgroup of an elevated session: " + cgroup);
    if (const auto made = make_elevated(scope, cgroup.substr(scope.size())); !made)
        return made;
    if (process.pid <= 0 || !base::is_alive(process)) // 0 would be vigild itself
        return {};
    auto moved = base::write_cgroup_file(cgroup, "cgroup.procs", std::to_string(process.pid));
    if (!moved && moved.error().code == ESRCH)
        return {};
    return moved;
}

bool is_elevated_gone(const std::string& cgroup) {
    return is_gone(cgroup) && is_gone(held_part(cgroup));
}

void signal_elevated(const std::string& cgroup, const std::optional<base::Process>& front) {
    for (const pid_t pid : all_in(cgroup)) {
        if (front && front->pid == pid)
            continue;
        const auto process = base::open_pidfd(pid);
        // It may have ended since, and its number be anybody's.
        if (!process || !is_in(pid, cgroup) || base::has_ended(process->get()))
            continue;
        for (const int signal : {SIGTERM, SIGHUP, SIGCONT})
            if (const auto sent = base::send_signal(process->get(), signal);
                !sent && sent.error().code != ESRCH)
                base::log_failure("ending an elevated session", sent);
    }
}

Result<> kill_elevated(const std::string& cgroup, const std::optional<base::Process>& front) {
    // What keeps the front in is no reason to let the rest live.
    if (front && base::is_alive(*front) && is_in(front->pid, cgroup))
        base::log_failure("sparing what waits for an elevated session",
                          let_out(cgroup, front->pid));
    const auto killed = kill_in(cgroup);
    const auto held = kill_in(held_part(cgroup));
    return killed ? held : killed;
}

Result<> remove_elevated(const std::string& cgroup) {
    for (const auto& own : {held_part(cgroup), cgroup}) {
        auto inner = elevated_below(own);
        for (const auto& part : inner | std::views::reverse)
            if (const auto removed = base::remove_cgroup(own + part); !removed)
                return removed;
        if (const auto removed = base::remove_cgroup(own); !removed)
            return removed;
    }
    return {};
}

std::optional<base::Process> front_of(const core::SessionRecord& record) {
    if (std::ranges::find(services_that_wait, record.facts.service) == services_that_wait.end() ||
        !base::is_alive(record.leader))
        return std::nullopt;
    const auto all = all_in(record.cgroup);
    const bool has_others =
        std::ranges::any_of(all, [&](pid_t pid) { return pid != record.leader.pid; });
    return has_others ? std::optional{record.leader} : std::nullopt;
}

std::optional<Terminal> elevated_terminal(const core::SessionRecord& record) {
    const auto stat = base::read_process_stat(record.leader.pid);
    if (!stat || stat->start_time != record.leader.start_time || stat->terminal == 0 ||
        base::has_ended(*stat))
        return std::nullopt;
    const auto terminal = terminal_of(stat->terminal);
    return terminal ? std::optional{*terminal} : std::nullopt;
}

bool is_in_foreground(const core::SessionRecord& record) {
    const auto stat = base::read_process_stat(record.leader.pid);
    return stat && stat->start_time == record.leader.start_time && stat->foreground > 0 &&
           is_in(stat->foreground, record.cgroup);
}

core::WorkDone read_elevated_work(const core::SessionRecord& record, MovedReader& reader) {
    core::WorkDone work;
    if (const auto time = processor_time(record.cgroup))
        work.processor = *time;
    work.bytes = 0; // a connection is its login's
    if (auto moved = reader.read(record.facts.uid, record.cgroup, record.leader.pid))
        work.moved = std::move(*moved);
    return work;
}

} // namespace vigil::enforce
