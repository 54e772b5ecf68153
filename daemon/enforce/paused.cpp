#include "daemon/enforce/paused.hpp"

#include "base/process.hpp"
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

/// A shell that leads its session is what the programs are started from.
bool is_login_shell(const base::ProcessStat& stat) {
    return stat.pid == stat.session && std::ranges::find(shells, stat.command) != shells.end();
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

} // namespace

std::vector<PausedProgram> paused_programs(const std::string& scope, BootTime locked_since) {
    auto held = processes_in(scope + "/" + frozen_child).value_or(std::vector<pid_t>{});
    held.resize(std::min(held.size(), max_paused_looked));
    std::map<pid_t, base::ProcessStat> jobs;
    for (const pid_t pid : held) {
        auto stat = base::read_process_stat(pid);
        if (!stat || stat->state == 'Z' || is_login_shell(*stat))
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
    std::vector<PausedProgram> programs;
    for (auto& stat : sorted)
        programs.push_back(
            {std::move(stat.command), std::max(Microseconds{0}, locked_since - start_of(stat))});
    return programs;
}

} // namespace vigil::enforce
