#include "base/clock.hpp"
#include "daemon/enforce/activity.hpp"
#include "tests/unit/pty.hpp"

#include <csignal>
#include <vector>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

using namespace vigil;
using enforce::ActivityWatch;
using test::Pty;

namespace {

using std::chrono::milliseconds;

struct Loop {
    base::EventLoop loop;
    std::unique_ptr<ActivityWatch> watch;
    std::vector<std::pair<std::string, uid_t>> created;
    std::vector<enforce::Activity> used;

    explicit Loop(enforce::ActivityQueues queues = {}) {
        sd_event* raw = nullptr;
        ck_assert_int_ge(sd_event_new(&raw), 0);
        loop.reset(raw);
        auto made = ActivityWatch::create(
            raw,
            {.new_terminal = [this](const std::string& path,
                                    uid_t uid) { created.emplace_back(path, uid); },
             .used = [this](const enforce::Terminal&,
                            const enforce::Activity& seen) { used.push_back(seen); }},
            std::move(queues));
        CHECK_OK(made);
        watch = std::move(*made);
    }

    /// Runs until then; how often it woke up.
    int run_until(BootTime end) const {
        int wakeups = 0;
        for (BootTime now = base::read_boot_time(); now < end; now = base::read_boot_time())
            wakeups +=
                sd_event_run(loop.get(), static_cast<std::uint64_t>((end - now).count())) > 0;
        return wakeups;
    }
    int run_for(Microseconds time) const { return run_until(base::read_boot_time() + time); }
};

void type_and_read(const Pty& pty) {
    pty.type("x\n");
    char line[16];
    ck_assert_int_gt(::read(pty.slave.get(), line, sizeof line), 0);
}

/// As PID 1 keeps them while no vigild runs.
enforce::ActivityQueues kept(const ActivityWatch& watch) {
    return {.inputs = base::UniqueFd{fcntl(watch.input_queue(), F_DUPFD_CLOEXEC, 0)},
            .outputs = base::UniqueFd{fcntl(watch.output_queue(), F_DUPFD_CLOEXEC, 0)}};
}

START_TEST(what_is_typed_while_nobody_watches_is_seen_by_the_next) {
    const Pty pty;
    const Pty untouched;
    const BootTime before = base::read_boot_time() - Seconds{30};
    enforce::ActivityQueues queues;
    {
        const Loop loop;
        CHECK_OK(loop.watch->add(pty.terminal, {}));
        CHECK_OK(loop.watch->add(untouched.terminal, {}));
        queues = kept(*loop.watch);
    }
    type_and_read(pty);
    const BootTime typed = base::read_boot_time();
    const Loop next{std::move(queues)};
    ck_assert(next.watch->inherited());
    next.watch->refresh(); // the look of another session, which starts first
    CHECK_OK(next.watch->add(pty.terminal, {before, before}));
    CHECK_OK(next.watch->add(untouched.terminal, {before, before}));
    next.watch->refresh();
    ck_assert(next.watch->get(pty.terminal)->input >= typed - Seconds{1});
    ck_assert(next.watch->get(untouched.terminal)->input == before);
}
END_TEST

START_TEST(a_watch_that_nobody_claims_wakes_once_and_is_gone) {
    const Pty pty;
    enforce::ActivityQueues queues;
    {
        const Loop loop;
        CHECK_OK(loop.watch->add(pty.terminal, {}));
        queues = kept(*loop.watch);
    }
    const Loop next{std::move(queues)};
    type_and_read(pty);
    next.run_for(milliseconds{50});
    type_and_read(pty);
    ck_assert_int_eq(next.run_for(milliseconds{50}), 0);
}
END_TEST

START_TEST(refresh_takes_what_the_loop_has_not) {
    const Pty pty;
    const Loop loop;
    CHECK_OK(loop.watch->add(pty.terminal, {}));
    type_and_read(pty);
    const BootTime typed = base::read_boot_time();
    loop.watch->refresh();
    ck_assert(loop.watch->get(pty.terminal)->input >= typed - Seconds{1});
    ck_assert(loop.used.empty());
    loop.run_for(Seconds{1} + milliseconds{100});
    ck_assert(!loop.used.empty()); // to be written down
}
END_TEST

START_TEST(typing_for_three_seconds_wakes_once_a_second_and_is_seen_within_one) {
    const Pty pty;
    const Loop loop;
    CHECK_OK(loop.watch->add(pty.terminal, {}));
    loop.run_for(milliseconds{20});
    int wakeups = 0;
    BootTime last{};
    const BootTime end = base::read_boot_time() + Seconds{3};
    while (base::read_boot_time() < end) {
        last = base::read_boot_time();
        type_and_read(pty);
        wakeups += loop.run_for(milliseconds{30});
    }
    ck_assert_int_ge(wakeups, 2);
    ck_assert_int_le(wakeups, 5);
    loop.run_for(milliseconds{1050});
    const auto seen = loop.watch->get(pty.terminal);
    ck_assert(seen.has_value());
    ck_assert(seen->input >= last);
    ck_assert(seen->input <= last + milliseconds{1100});
}
END_TEST

START_TEST(a_terminal_at_rest_wakes_nobody_and_one_key_is_seen_at_once) {
    const Pty pty;
    const Loop loop;
    CHECK_OK(loop.watch->add(pty.terminal, {}));
    loop.run_for(milliseconds{20});
    ck_assert_int_eq(loop.run_for(milliseconds{300}), 0);
    const BootTime before = base::read_boot_time();
    type_and_read(pty);
    ck_assert_int_eq(loop.run_for(milliseconds{50}), 1);
    const auto seen = loop.watch->get(pty.terminal);
    ck_assert(seen->input >= before);
    ck_assert(seen->input <= before + milliseconds{100});
    ck_assert(seen->output < before);
    ck_assert_int_eq(loop.run_for(milliseconds{1100}), 1); // the look a second later
    ck_assert_int_eq(loop.run_for(milliseconds{300}), 0);
}
END_TEST

START_TEST(output_is_not_input) {
    const Pty pty;
    const Loop loop;
    const BootTime known{Seconds{1}};
    CHECK_OK(loop.watch->add(pty.terminal, {.input = known, .output = known}));
    const BootTime before = base::read_boot_time();
    ck_assert_int_eq(::write(pty.slave.get(), "hello", 5), 5);
    loop.run_for(milliseconds{50});
    const auto seen = loop.watch->get(pty.terminal);
    ck_assert(seen->output >= before);
    ck_assert(seen->input == known);
}
END_TEST

/// As less does: the terminal is the process's own, and read through /dev/tty.
pid_t read_through_dev_tty(const Pty& pty) {
    const pid_t pid = ::fork();
    ck_assert_int_ge(pid, 0);
    if (pid != 0)
        return pid;
    char line[16];
    if (::setsid() < 0 || ::ioctl(pty.slave.get(), TIOCSCTTY, 0) < 0)
        ::_exit(1);
    const int own = ::open("/dev/tty", O_RDWR);
    ::_exit(own >= 0 && ::read(own, line, sizeof line) > 0 ? 0 : 2);
}

START_TEST(keys_read_through_dev_tty_count) {
    const Pty pty;
    const Loop loop;
    CHECK_OK(loop.watch->add(pty.terminal, {}));
    const BootTime typed = base::read_boot_time();
    const pid_t reader = read_through_dev_tty(pty);
    pty.type("x\n");
    int status = -1;
    ck_assert_int_eq(::waitpid(reader, &status, 0), reader);
    ck_assert_int_eq(status, 0);
    loop.run_for(milliseconds{50});
    ck_assert(loop.watch->get(pty.terminal)->input >= typed);
}
END_TEST

START_TEST(a_new_terminal_is_told_with_its_owner) {
    const Loop loop;
    const Pty pty;
    loop.run_for(milliseconds{100});
    ck_assert_uint_eq(loop.created.size(), 0); // root's: may still be handed over
    ck_assert_int_eq(::fchown(pty.slave.get(), 1234, gid_t(-1)), 0);
    loop.run_for(milliseconds{50});
    ck_assert_uint_eq(loop.created.size(), 1);
    CHECK_TEXT(loop.created[0].first, pty.terminal.path);
    ck_assert_uint_eq(loop.created[0].second, 1234);
}
END_TEST

START_TEST(a_new_terminal_that_stays_roots_is_told_after_half_a_second) {
    const Loop loop;
    const Pty pty;
    loop.run_for(milliseconds{600});
    ck_assert_uint_eq(loop.created.size(), 1);
    ck_assert_uint_eq(loop.created[0].second, 0);
}
END_TEST

START_TEST(a_removed_terminal_is_unknown_and_silent) {
    const Pty pty;
    const Loop loop;
    CHECK_OK(loop.watch->add(pty.terminal, {}));
    loop.watch->remove(pty.terminal);
    loop.run_for(milliseconds{1100});
    type_and_read(pty);
    ck_assert_int_eq(loop.run_for(milliseconds{100}), 0);
    ck_assert(!loop.watch->get(pty.terminal).has_value());
}
END_TEST

} // namespace

int main() {
    Suite* suite = suite_create("activity");
    TCase* activity = tcase_create("activity");
    tcase_set_timeout(activity, 20);
    tcase_add_test(activity, what_is_typed_while_nobody_watches_is_seen_by_the_next);
    tcase_add_test(activity, a_watch_that_nobody_claims_wakes_once_and_is_gone);
    tcase_add_test(activity, refresh_takes_what_the_loop_has_not);
    tcase_add_test(activity, typing_for_three_seconds_wakes_once_a_second_and_is_seen_within_one);
    tcase_add_test(activity, a_terminal_at_rest_wakes_nobody_and_one_key_is_seen_at_once);
    tcase_add_test(activity, output_is_not_input);
    tcase_add_test(activity, keys_read_through_dev_tty_count);
    tcase_add_test(activity, a_new_terminal_is_told_with_its_owner);
    tcase_add_test(activity, a_new_terminal_that_stays_roots_is_told_after_half_a_second);
    tcase_add_test(activity, a_removed_terminal_is_unknown_and_silent);
    suite_add_tcase(suite, activity);
    return test::run(suite);
}
