// What a login costs the core at 100 and at 10,000 live sessions, and what a session weighs.

#include "tests/unit/core_support.hpp"

#include <cmath>
#include <cstdio>
#include <ctime>

#include <malloc.h>

using namespace vigil;
using namespace vigil::test;

namespace {

policy::Policy usual() {
    return policy_of({.idle_warn = 1min,
                      .idle_lock = 15min,
                      .idle_terminate = 1h,
                      .max_duration = 12h,
                      .warn_before_end = std::vector<Seconds>{15min, 5min, 1min}});
}

void log_in(Machine& machine, std::uint32_t number) {
    const auto who = facts_of("user" + std::to_string(number % 50), 1000 + number % 50);
    machine.step(reserve(number, who), at(1s));
    machine.step(confirm(number, who), at(1s));
    machine.step(activity(number, 1s, 1s), at(1s));
}

double cpu_seconds() {
    timespec spent{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return static_cast<double>(spent.tv_sec) + static_cast<double>(spent.tv_nsec) / 1e9;
}

/// Microseconds of CPU for a login and its end, the best of several rounds.
double login_cost(Machine& machine) {
    constexpr std::uint32_t logins = 20'000;
    double best = 1e9;
    for (int round = 0; round < 5; ++round) {
        const auto before = cpu_seconds();
        for (std::uint32_t i = 0; i < logins; ++i) {
            const auto number = 100'000 + i;
            log_in(machine, number);
            machine.step(ReleaseAsked{3, process_of(number)}, at(2s));
        }
        best = std::min(best, (cpu_seconds() - before) / logins * 1e6);
    }
    return best;
}

std::size_t heap() {
    return mallinfo2().uordblks;
}

} // namespace

int main() {
    constexpr std::uint32_t few = 100;
    constexpr std::uint32_t many = 10'000;
    Machine small{usual(), {}, {}, at(0s)};
    for (std::uint32_t number = 0; number < few; ++number)
        log_in(small, number);
    const auto at_few = login_cost(small);
    Machine large{usual(), {}, {}, at(0s)};
    const auto empty = heap();
    for (std::uint32_t number = 0; number < many; ++number)
        log_in(large, number);
    const auto weight = (heap() - empty) / many;
    const auto at_many = login_cost(large);
    for (std::uint32_t number = 0; number < many; ++number)
        large.step(ReleaseAsked{3, process_of(number)}, at(3s));
    const auto left = static_cast<std::ptrdiff_t>(heap()) - static_cast<std::ptrdiff_t>(empty);
    std::printf("register, confirm, release: %.2f us of CPU at %u sessions, %.2f us at %u\n",
                at_few, few, at_many, many);
    std::printf("growth: exponent %.3f (asked: at most 0.05)\n",
                std::log(at_many / at_few) / std::log(static_cast<double>(many) / few));
    std::printf(
        "memory: %zu bytes a session (asked: at most 2048), %td kB kept after all logouts\n",
        weight, left / 1024);
    return 0;
}
