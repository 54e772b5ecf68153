// The second clock: what works is not ended for being quiet, and what does not is.

#include "daemon/core/moved.hpp"
#include "tests/unit/core_support.hpp"

#include <functional>
#include <random>

using namespace vigil;
using namespace vigil::test;
using policy::SessionClass;

namespace {

ActivitySeen seen(Microseconds processor, std::uint64_t bytes, Microseconds used = 0s) {
    auto event = activity(1, used, used);
    event.work = {.processor = processor, .bytes = bytes, .moved = std::vector<ProcessBytes>{}};
    return event;
}

/// A shell and what it has started.
std::vector<ProcessBytes> shell_with(std::uint64_t shell, std::vector<ProcessBytes> started = {}) {
    std::vector<ProcessBytes> all{{process_of(1), 1, shell}};
    all.insert(all.end(), started.begin(), started.end());
    return all;
}

ProcessBytes started_by(std::uint32_t parent, std::uint32_t number, std::uint64_t bytes) {
    return {process_of(number), process_of(parent).pid, bytes};
}

ActivitySeen moved(std::uint64_t bytes) {
    auto event = seen(0s, 0);
    event.work.moved = shell_with(500, {started_by(1, 2, bytes)});
    return event;
}

ActivitySeen without_terminal(SessionClass session_class, Microseconds processor,
                              std::uint64_t bytes) {
    auto event = seen(processor, bytes);
    event.terminals.clear();
    event.session_class = session_class;
    return event;
}

policy::SessionRule ends_after(Seconds limit, std::vector<SessionClass> classes = {}) {
    policy::SessionRule rule{.idle_terminate = limit};
    rule.match.classes = std::move(classes);
    return rule;
}

/// A session without a terminal, as the module registers it.
void log_in(Host& host) {
    auto facts = facts_of();
    host.step(reserve(1, facts), 0s);
    facts.session_class = SessionClass::command;
    host.step(confirm(1, facts), 0s);
}

/// Wakes as the machine asks for it, with a session that works `share` of a processor and carries
/// `rate` bytes a second until `stops`; when it was ended, or `until`.
Microseconds run(Host& host, double share, double rate, Microseconds stops, Microseconds until,
                 const std::function<ActivitySeen(Microseconds, std::uint64_t)>& look) {
    for (int wakeups = 0; host.deadline() < until; ++wakeups) {
        ck_assert_int_lt(wakeups, 5000);
        const auto now = host.deadline();
        const auto effects = host.tick(now);
        if (find<ReadActivity>(effects)) {
            const auto worked = std::chrono::duration<double>(std::min(now, stops)).count();
            host.step(look(Microseconds{static_cast<std::int64_t>(worked * share * 1e6)},
                           static_cast<std::uint64_t>(worked * rate)),
                      now);
        }
        if (host.state(1) == State::ending)
            return now;
        ck_assert_msg(host.deadline() > now, "it would spin");
    }
    return until;
}

Microseconds run_with_terminal(Host& host, double share, double rate, Microseconds stops,
                               Microseconds until) {
    return run(host, share, rate, stops, until,
               [](Microseconds processor, std::uint64_t bytes) { return seen(processor, bytes); });
}

Microseconds run_without(Host& host, SessionClass session_class, double share, double rate,
                         Microseconds stops, Microseconds until) {
    return run(host, share, rate, stops, until,
               [session_class](Microseconds processor, std::uint64_t bytes) {
                   return without_terminal(session_class, processor, bytes);
               });
}

START_TEST(a_quiet_compile_is_not_ended_and_its_silence_is) {
    Host host{policy_of(ends_after(1h))};
    host.login(1, 0s);
    const auto ended = run_with_terminal(host, 1.0, 0, 5h, 24h);
    ck_assert(ended >= 6h);
    ck_assert(ended <= 7h + 10s);
    CHECK_TEXT(host.machine.view(id_of(1))->record->end_reason, "it was idle for 1 h");
}
END_TEST

START_TEST(it_runs_on_under_the_lock_too) {
    auto rule = ends_after(1h);
    rule.idle_lock = 15min;
    Host host{policy_of(rule)};
    host.login(1, 0s);
    host.tick(15min);
    host.step(seen(0s, 0), 15min);
    host.step(LockDone{id_of(1), true, {}}, 15min);
    const auto ended = run_with_terminal(host, 0.5, 0, 3h, 24h);
    ck_assert(ended >= 4h && ended <= 5h + 10s);
}
END_TEST

START_TEST(who_is_idle_is_ended_on_time_and_costs_two_looks) {
    Host host{policy_of(ends_after(1h))};
    host.login(1, 0s);
    ck_assert(host.deadline() == 1h - work_window);
    host.tick(1h - work_window);
    ck_assert(host.step(seen(3s, 50'000), 1h - work_window).empty()); // 0.08 %, 14 bytes a second
    ck_assert(host.deadline() == 1h);
    host.tick(1h);
    ck_assert_ptr_nonnull(find<StoreSession>(host.step(seen(3s + 5ms, 50'500), 1h)));
    ck_assert(host.state(1) == State::ending);
}
END_TEST

START_TEST(what_begins_in_the_last_seconds_is_not_cut) {
    for (const auto& late : {seen(200ms, 0), seen(0s, 20'000), seen(26ms, 0), seen(0s, 4097)}) {
        Host host{policy_of(ends_after(1h))};
        host.login(1, 0s);
        host.tick(1h - work_window);
        host.step(seen(0s, 0), 1h - work_window);
        host.tick(1h);
        ck_assert(host.step(late, 1h).empty());
        ck_assert(host.state(1) == State::active);
        ck_assert(host.deadline() == 2h - work_window);
    }
}
END_TEST

START_TEST(keepalives_are_no_work) {
    // 52 bytes a second and their answers, and what sshd needs for them.
    Host host{policy_of(ends_after(10min, {SessionClass::forward}))};
    log_in(host);
    ck_assert(run_without(host, SessionClass::forward, 0.0005, 176, 24h, 24h) == 10min);
}
END_TEST

START_TEST(a_slow_copy_is_never_cut_and_an_idle_one_is_ended) {
    for (const double rate : {1'000.0, 1e8}) {
        Host host{policy_of(ends_after(10min, {SessionClass::transfer}))};
        log_in(host);
        const auto ended = run_without(host, SessionClass::transfer, 0, rate, 3h, 24h);
        // What copies slowly counts as idle since a little before its end: the rate of a long time.
        ck_assert(ended >= 3h + (rate > 1e6 ? 10min : 7min));
        ck_assert(ended <= 3h + 20min + 10s);
    }
}
END_TEST

START_TEST(what_its_programs_copy_is_never_cut) {
    for (const double rate : {1'000.0, 1e8}) {
        Host host{policy_of(ends_after(10min))};
        host.login(1, 0s);
        const auto ended = run(host, 0, rate, 3h, 24h,
                               [](Microseconds, std::uint64_t bytes) { return moved(bytes); });
        ck_assert(ended >= 3h + (rate > 1e6 ? 10min : 7min));
        ck_assert(ended <= 3h + 20min + 10s);
    }
}
END_TEST

START_TEST(a_program_that_keeps_a_connection_alive_does_no_work) {
    // 52 bytes read and as many written each second.
    Host host{policy_of(ends_after(10min))};
    host.login(1, 0s);
    ck_assert(run(host, 0, 104, 24h, 24h,
                  [](Microseconds, std::uint64_t bytes) { return moved(bytes); }) == 10min);
}
END_TEST

START_TEST(bytes_count_once_whoever_has_them_in_the_end) {
    const auto copy = [](std::uint64_t bytes) { return started_by(1, 2, bytes); };
    struct Case {
        std::vector<ProcessBytes> before;
        std::vector<ProcessBytes> now;
        std::uint64_t moved;
    };
    for (const auto& [before, now, bytes] : {
             Case{{}, {}, 0},
             Case{shell_with(500), shell_with(500), 0},
             Case{shell_with(500), shell_with(700), 200},
             Case{shell_with(500, {copy(30)}), shell_with(501, {copy(90)}), 61},
             // It was started since; it was started and has ended.
             Case{shell_with(500), shell_with(500, {copy(90)}), 90},
             Case{shell_with(500), shell_with(590), 90},
             // It has ended, and its shell has what it had moved, before the first look and after.
             Case{shell_with(500, {copy(3000)}), shell_with(3500), 0},
             Case{shell_with(500, {copy(3000)}), shell_with(3590), 90},
             // So does who had started the shell, or whoever started that.
             Case{shell_with(1, {started_by(1, 2, 20), started_by(2, 3, 3000)}), shell_with(3071),
                  50},
             // Nobody has it: what it did before its end is not known.
             Case{shell_with(500, {started_by(7, 2, 3000)}), shell_with(500), 3000},
             Case{{copy(3000)}, {}, 3000},
             // Its shell has not waited for it yet, or never will.
             Case{shell_with(500, {copy(3000)}), shell_with(510), 3010},
             // The number is another's now, and so is the parent's.
             Case{{{{.pid = 9, .start_time = 1}, 1, 3000}},
                  {{{.pid = 9, .start_time = 2}, 1, 40}},
                  3040},
             Case{{{{.pid = 9, .start_time = 1}, 10, 7}, {{.pid = 10, .start_time = 1}, 9, 8}},
                  {},
                  15},
             // Nothing goes back.
             Case{shell_with(500), shell_with(400), 0},
         })
        ck_assert_uint_eq(moved_between(before, now), bytes);
}
END_TEST

START_TEST(a_loop_that_waits_is_no_work_though_its_programs_come_and_go) {
    // A program each minute, that reads 7 kB to begin with.
    Host host{policy_of(ends_after(1h))};
    host.login(1, 0s);
    const auto look = [&](Microseconds now) {
        const auto ended = static_cast<std::uint64_t>(now / 1min);
        auto event = seen(0s, 0);
        event.work.moved = shell_with(500 + 7000 * ended,
                                      {started_by(1, 2 + static_cast<std::uint32_t>(ended), 7000)});
        return event;
    };
    for (const auto now : {Microseconds{1h - work_window}, Microseconds{1h}}) {
        host.tick(now);
        host.step(look(now), now);
    }
    ck_assert(host.state(1) == State::ending);
}
END_TEST

START_TEST(only_a_class_that_is_named_is_ended) {
    Host host{policy_of(ends_after(10min, {SessionClass::transfer}))};
    log_in(host);
    ck_assert(run_without(host, SessionClass::command, 0, 0, 0s, 24h) == 24h);
    CHECK_TEXT(host.machine.view(id_of(1))->next_action, "");
    Host all{policy_of(ends_after(10min))};
    log_in(all);
    ck_assert(run_without(all, SessionClass::forward, 0, 0, 0s, 24h) == 24h);
}
END_TEST

START_TEST(the_class_is_looked_at_a_few_times_and_only_where_a_rule_asks) {
    Host host{policy_of(ends_after(1000h, {SessionClass::forward}))};
    log_in(host);
    for (const auto when : {1s, 5s, 21s, 85s}) {
        ck_assert(host.deadline() == when);
        CHECK_TEXT(kinds(host.tick(when)), "ReadActivity");
        host.step(without_terminal(SessionClass::command, 0s, 0), when);
    }
    ck_assert(host.deadline() == Microseconds::max());
    Host nobody{policy_of(ends_after(10min))};
    log_in(nobody);
    ck_assert(nobody.deadline() == Microseconds::max());
}
END_TEST

START_TEST(a_class_that_changes_is_written_down_and_decided_anew) {
    Host host{policy_of(ends_after(10min, {SessionClass::forward}))};
    log_in(host);
    host.tick(1s);
    const auto changed = host.step(without_terminal(SessionClass::forward, 0s, 0), 1s);
    ck_assert(find<StoreSession>(changed)->record.facts.session_class == SessionClass::forward);
    CHECK_TEXT(host.machine.view(id_of(1))->next_action, "terminate");
    // A terminal is opened through it, and closed again.
    host.step(TerminalOpened{id_of(1)}, 5min);
    host.step(seen(0s, 0, 5min), 5min);
    CHECK_TEXT(host.machine.view(id_of(1))->next_action, "");
    ck_assert(host.deadline() == Microseconds::max());
    host.step(without_terminal(SessionClass::forward, 0s, 0), 6min);
    ck_assert(host.machine.view(id_of(1))->next_at >= at(15min).boot);
}
END_TEST

START_TEST(without_a_terminal_the_clock_begins_anew_after_a_crash) {
    Host host{policy_of(ends_after(10min, {SessionClass::transfer}))};
    log_in(host);
    host.tick(1s);
    host.step(without_terminal(SessionClass::transfer, 0s, 0), 1s);
    host.restart(9min);
    host.step(without_terminal(SessionClass::transfer, 0s, 0), 9min);
    ck_assert(host.deadline() == 19min - work_window);
}
END_TEST

START_TEST(after_a_crash_an_end_that_is_due_waits_until_the_work_is_known) {
    Host host{policy_of(ends_after(1h))};
    host.login(1, 0s);
    for (const bool works : {true, false}) {
        host.restart(2h);
        host.step(seen(7s, 0), 2h);
        ck_assert(host.state(1) == State::active);
        ck_assert(host.deadline() <= 2h + work_window);
        const auto ended = run(host, 0, 0, 0s, 3h, [&](Microseconds, std::uint64_t) {
            return works ? seen(9s, 0) : seen(7s, 0);
        });
        ck_assert(works == (ended == 3h));
        if (works)
            ck_assert(host.deadline() >= 3h - work_window);
    }
}
END_TEST

START_TEST(what_is_done_while_the_terminal_is_used_belongs_to_that_use) {
    Host host{policy_of(ends_after(1h))};
    host.login(1, 0s);
    auto used = seen(500s, 1'000'000, 30min);
    used.work_at_output = WorkReading{.at = at(30min + 1s).boot, .done = used.work};
    host.step(used, 1h - work_window);
    ck_assert(host.deadline() == 90min - work_window);
    host.step(used, 90min - work_window);
    host.step(used, 90min);
    ck_assert(host.state(1) == State::ending);
}
END_TEST

START_TEST(what_cannot_be_read_counts_as_work) {
    for (const WorkDone& unknown :
         {WorkDone{}, WorkDone{.processor = 0us, .bytes = {}, .moved = std::vector<ProcessBytes>{}},
          WorkDone{.processor = {}, .bytes = 0, .moved = std::vector<ProcessBytes>{}},
          WorkDone{.processor = 0us, .bytes = 0, .moved = {}}}) {
        Host host{policy_of(ends_after(1h))};
        host.login(1, 0s);
        const auto ended = run(host, 0, 0, 0s, 24h, [&](Microseconds, std::uint64_t) {
            auto event = seen(0s, 0);
            event.work = unknown;
            return event;
        });
        ck_assert(ended == 24h);
    }
}
END_TEST

START_TEST(only_what_the_policy_names_counts) {
    struct Case {
        policy::Activity counts;
        double share;
        double rate;
        bool ends;
    };
    for (const auto& [counts, share, rate, ends] :
         {Case{{.output = true, .bytes = false, .processor = false}, 1, 1e6, true},
          Case{{.output = false, .bytes = true, .processor = false}, 1, 0, true},
          Case{{.output = false, .bytes = false, .processor = true}, 0, 1e6, true},
          Case{{.output = false, .bytes = true, .processor = false}, 0, 1e6, false},
          Case{{.output = false, .bytes = false, .processor = true}, 1, 0, false}}) {
        auto rule = ends_after(1h);
        rule.activity = counts;
        Host host{policy_of(rule)};
        host.login(1, 0s);
        ck_assert(run_with_terminal(host, share, rate, 24h, 12h) == (ends ? 1h : 12h));
    }
    auto rule = ends_after(1h);
    rule.activity = policy::Activity{.output = false, .bytes = false, .processor = false};
    Host host{policy_of(rule)};
    host.login(1, 0s);
    host.step(activity(1, 0s, 50min), 1h); // words on the screen are none of it
    ck_assert(host.state(1) == State::ending);
}
END_TEST

START_TEST(many_looks_hide_no_work) {
    // Each look would see too little alone.
    Host host{policy_of(ends_after(10min, {SessionClass::transfer}))};
    log_in(host);
    std::uint64_t bytes = 0;
    for (auto now = Microseconds{1s}; now < 2h; now += 500ms) {
        host.tick(now);
        host.step(without_terminal(SessionClass::transfer, 0s, bytes += 1000), now);
        ck_assert(host.state(1) == State::active);
    }
}
END_TEST

START_TEST(a_warning_waits_for_the_work_and_a_key_cancels_it) {
    auto rule = ends_after(1h);
    rule.idle_warn = 1min;
    Host host{policy_of(rule)};
    host.login(1, 0s);
    host.tick(59min);
    ck_assert(host.step(seen(600s, 0), 59min).empty()); // it works
    ck_assert(host.deadline() == 118min);
    host.tick(118min);
    ck_assert_ptr_nonnull(find<Say>(host.step(seen(600s, 0), 118min)));
    host.tick(119min - work_window);
    CHECK_TEXT(kinds(host.step(seen(600s, 0, 118min + 30s), 119min - work_window)), "WipeLine");
    ck_assert(host.deadline() == 177min + 30s);
}
END_TEST

/// Whatever it does and whenever it is looked at: what works at its end is not ended, and what has
/// done nothing for twice the limit is.
START_TEST(random_sessions_are_ended_when_their_work_is_idle) {
    for (unsigned seed = 0; seed < 200; ++seed) {
        std::mt19937 random{seed};
        const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
        const Seconds limit{2 + below(seed % 2 ? 30 : 4000)};
        Host host{policy_of(ends_after(limit, {SessionClass::transfer}))};
        log_in(host);
        Microseconds works_until = Seconds{below(20'000)};
        const Microseconds begins = Seconds{below(10)};
        const auto done = [&](Microseconds now) {
            return static_cast<std::uint64_t>(
                std::max<std::int64_t>(0, (std::min(now, works_until) - begins).count()) / 1000 *
                5);
        };
        auto now = Microseconds{0};
        while (host.state(1) == State::active) {
            now = host.deadline() > now + 50s && below(2) ? now + Seconds{1 + below(50)}
                                                          : std::max(now, host.deadline());
            ck_assert(now <= std::max(works_until, begins) + 2 * limit + 2 * work_window);
            host.tick(now);
            if (host.state(1) == State::active)
                host.step(without_terminal(SessionClass::transfer, 0s, done(now)), now);
        }
        // Its first 4 KiB may be a keepalive's.
        const bool never_worked = now < begins + 1s || works_until < begins + 1s;
        ck_assert_msg(never_worked || now >= works_until, "seed %u: work was cut", seed);
        ck_assert_msg(never_worked || now >= works_until + limit * 9 / 10 - 2s,
                      "seed %u: too early", seed);
    }
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("core: work",
                            {a_quiet_compile_is_not_ended_and_its_silence_is,
                             it_runs_on_under_the_lock_too,
                             who_is_idle_is_ended_on_time_and_costs_two_looks,
                             what_begins_in_the_last_seconds_is_not_cut,
                             keepalives_are_no_work,
                             a_slow_copy_is_never_cut_and_an_idle_one_is_ended,
                             what_its_programs_copy_is_never_cut,
                             a_program_that_keeps_a_connection_alive_does_no_work,
                             bytes_count_once_whoever_has_them_in_the_end,
                             a_loop_that_waits_is_no_work_though_its_programs_come_and_go,
                             only_a_class_that_is_named_is_ended,
                             the_class_is_looked_at_a_few_times_and_only_where_a_rule_asks,
                             a_class_that_changes_is_written_down_and_decided_anew,
                             without_a_terminal_the_clock_begins_anew_after_a_crash,
                             after_a_crash_an_end_that_is_due_waits_until_the_work_is_known,
                             what_is_done_while_the_terminal_is_used_belongs_to_that_use,
                             what_cannot_be_read_counts_as_work,
                             only_what_the_policy_names_counts,
                             many_looks_hide_no_work,
                             a_warning_waits_for_the_work_and_a_key_cancels_it,
                             random_sessions_are_ended_when_their_work_is_idle});
}
