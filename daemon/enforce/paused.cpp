#include "daemon/enforce/paused.hpp"

#include "base/duration.hpp"
#include "base/log.hpp"
#include "daemon/enforce/connection.hpp"
#include "daemon/enforce/scope.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include <unistd.h>

namespace vigil::enforce {

namespace {

constexpr std::array<std::string_view, 9> shells{"bash", "sh",   "dash", "zsh", "fish",
                                                 "ksh",  "mksh", "tcsh", "csh"};

/// A shell that leads its session, or that login(1), which does, has started, is what the programs
/// are started from.
bool is_login_shell(const base::ProcessStat& stat, pid_t leader) {
    return (stat.pid == stat.session || stat.parent == leader) &&
           std::ranges::find(shells, stat.command) != shells.end();
}

bool stands_for_more(const base::ProcessStat& one, const base::ProcessStat& other) {
    if ((one.pid == one.group) != (other.pid == other.group))
        return one.pid == one.group;
    return one.start_time < other.start_time;
}

BootTime start_of(const base::ProcessStat& stat) {
    const auto ticks = static_cast<std::uint64_t>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
    // Whole seconds first: so it cannot overflow.
    return BootTime{Microseconds{static_cast<std::int64_t>(
        stat.start_time / ticks * 1'000'000 + stat.start_time % ticks * 1'000'000 / ticks)}};
}

/// A process for each job among these, the foremost first.
std::vector<base::ProcessStat> jobs_of(std::vector<pid_t> processes, pid_t leader,
                                       const base::Process& asker = {}) {
    processes.resize(std::min(processes.size(), max_paused_looked));
    std::map<pid_t, base::ProcessStat> jobs;
    for (const pid_t pid : processes) {
        auto stat = base::read_process_stat(pid);
        if (!stat || base::has_ended(*stat) || is_login_shell(*stat, leader) ||
            base::Process{stat->pid, stat->start_time} == asker)
            continue;
        const auto [job, is_new] = jobs.try_emplace(stat->group, *stat);
        if (!is_new && stands_for_more(*stat, job->second))
            job->second = std::move(*stat);
    }
    std::vector<base::ProcessStat> sorted;
    for (auto& [group, stat] : jobs)
        sorted.push_back(std::move(stat));
    std::ranges::sort(sorted, [](const auto& one, const auto& other) {
        const bool first = one.foreground == one.group;
        const bool second = other.foreground == other.group;
        return first != second ? first : one.start_time < other.start_time;
    });
    return sorted;
}

} // namespace

std::string text_of(const PausedProgram& program) {
    constexpr std::chrono::minutes minute{1};
    const auto ran =
        program.ran < minute ? program.ran : std::chrono::floor<std::chrono::minutes>(program.ran);
    return base::escape(program.name, max_program_name_bytes) + ", " + base::duration_text(ran);
}

LockedProcesses processes_under_lock(const std::string& scope, pid_t leader) {
    return {.all = base::processes_in(scope).value_or(std::vector<pid_t>{}),
            .held = base::processes_in(scope + "/" + frozen_child).value_or(std::vector<pid_t>{}),
            .leader = leader};
}

TerminalJobs jobs_at(const LockedProcesses& processes, std::uint64_t device) {
    const auto looked = std::min(processes.held.size(), max_paused_looked);
    for (std::size_t i = 0; i < looked; ++i) {
        const pid_t pid = processes.held[i];
        const auto stat = base::read_process_stat(pid);
        if (stat && stat->pid == stat->session && stat->terminal == device)
            return {.shell = pid, .foreground = std::max(stat->foreground, 0)};
    }
    return {};
}

std::vector<PausedProgram> paused_programs(const LockedProcesses& processes, BootTime locked_since,
                                           const base::Process& asker) {
    std::vector<PausedProgram> programs;
    for (auto& stat : jobs_of(processes.held, processes.leader, asker))
        programs.push_back(
            {std::move(stat.command), std::max(Microseconds{0}, locked_since - start_of(stat))});
    return programs;
}

std::vector<std::string> programs_going_on(const LockedProcesses& processes) {
    auto others = processes.held;
    const auto carriers = carriers_of(processes.all, processes.leader);
    others.insert(others.end(), carriers.begin(), carriers.end());
    others.push_back(processes.leader);
    std::ranges::sort(others);
    auto going_on = processes.all;
    std::erase_if(going_on, [&](pid_t pid) { return std::ranges::binary_search(others, pid); });
    std::vector<std::string> names;
    for (auto& stat : jobs_of(std::move(going_on), processes.leader))
        names.push_back(std::move(stat.command));
    return names;
}

} // namespace vigil::enforce
