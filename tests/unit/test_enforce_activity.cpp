#include "base/clock.hpp"
#include "base/process.hpp"
#include "daemon/enforce/activity.hpp"
#include "tests/unit/pty.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <vector>

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
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
    std::vector<std::string> closed;
    std::vector<std::string> order; ///< of what was made and closed
    std::function<void()> when_used;
    int current_used = 0;

    explicit Loop(enforce::ActivityQueues queues = {}) {
        sd_event* raw = nullptr;
        ck_assert_int_ge(sd_event_new(&raw), 0);
        loop.reset(raw);
        auto made = ActivityWatch::create(
            raw,
            {.new_terminal =
                 [this](const std::string& path, uid_t uid) {
                     created.emplace_back(path, uid);
                     order.push_back("made " + path);
                 },
             .used =
                 [this](const enforce::Terminal&, const enforce::Activity& seen) {
                     used.push_back(seen);
                     if (when_used)
                         when_used();
                 },
             .closed =
                 [this](const enforce::Terminal& terminal) {
                     closed.push_back(terminal.path);
                     order.push_back("closed " + terminal.path);
                 },
             .current_terminal_used = [this] { ++current_used; }},
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

/// Terminals, and a /dev/tty, that nobody else on the machine makes and reads: wakeups are counted.
void make_dev() {
    ck_assert_int_eq(::unshare(CLONE_NEWNS), 0);
    ck_assert_int_eq(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ck_assert_int_eq(::mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666"), 0);
    ck_assert_int_eq(::mount("/dev/pts/ptmx", "/dev/ptmx", nullptr, MS_BIND, nullptr), 0);
    ck_assert_int_eq(::mount("tmpfs", "/mnt", "tmpfs", 0, nullptr), 0);
    ck_assert_int_eq(::mknod("/mnt/tty", S_IFCHR | 0666, makedev(5, 0)), 0);
    ck_assert_int_eq(::mount("/mnt/tty", "/dev/tty", nullptr, MS_BIND, nullptr), 0);
}

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
    ck_assert_int_eq(loop.current_used, 1);
}
END_TEST

/// More than the kernel keeps for a reader who does not come.
int more_than_the_queue() {
    const auto text = base::read_small_file("/proc/sys/fs/inotify/max_queued_events");
    CHECK_OK(text);
    return std::atoi(text->c_str()) + 100;
}

/// By turns, because the kernel merges an event with the same one before it.
void flood_input(const Pty& one, const Pty& other) {
    for (int i = more_than_the_queue(); i > 0; i -= 2) {
        type_and_read(one);
        type_and_read(other);
    }
}

void write_line(const Pty& pty) {
    char line[64];
    ck_assert_int_eq(::write(pty.slave.get(), "x\n", 2), 2);
    ck_assert_int_gt(::read(pty.master.get(), line, sizeof line), 0);
}

void flood_output(const Pty& one, const Pty& other) {
    for (int i = more_than_the_queue(); i > 0; i -= 2) {
        write_line(one);
        write_line(other);
    }
}

/// Last read and written a minute ago.
void age(const Pty& pty) {
    timespec times[2];
    ck_assert_int_eq(::clock_gettime(CLOCK_REALTIME, &times[0]), 0);
    times[0].tv_sec -= 60;
    times[1] = times[0];
    ck_assert_int_eq(::futimens(pty.slave.get(), times), 0);
}

struct Flood {
    Pty alices;
    Pty bobs;
    Pty bobs_other;
    Loop loop;
    BootTime known = base::read_boot_time() - Seconds{30};

    Flood() {
        age(alices);
        for (const Pty* pty : {&alices, &bobs, &bobs_other})
            CHECK_OK(loop.watch->add(pty->terminal, {known, known}));
    }
    enforce::Activity alice_as_seen() const {
        loop.watch->refresh();
        return *loop.watch->get(alices.terminal);
    }
};

START_TEST(a_flood_of_input_leaves_the_terminals_of_others_idle) {
    const Flood flood;
    flood_input(flood.bobs, flood.bobs_other);
    ck_assert(flood.alice_as_seen().input == flood.known);
    ck_assert(flood.alice_as_seen().output == flood.known);
    ck_assert(flood.loop.watch->get(flood.bobs.terminal)->input > flood.known);
}
END_TEST

START_TEST(a_flood_of_output_leaves_the_terminals_of_others_idle) {
    const Flood flood;
    flood_output(flood.bobs, flood.bobs_other);
    ck_assert(flood.alice_as_seen().output == flood.known);
    ck_assert(flood.alice_as_seen().input == flood.known);
}
END_TEST

START_TEST(a_key_that_was_lost_in_a_flood_counts) {
    const Flood flood;
    flood_input(flood.bobs, flood.bobs_other);
    const BootTime typed = base::read_boot_time();
    type_and_read(flood.alices);
    ck_assert(flood.alice_as_seen().input >= typed);
    // Nor does a second flood put it off by more than the step that the kernel shows.
    const BootTime first = flood.alice_as_seen().input;
    flood_input(flood.bobs, flood.bobs_other);
    ck_assert(flood.alice_as_seen().input >= first);
    ck_assert(flood.alice_as_seen().input <= typed + Seconds{8});
}
END_TEST

START_TEST(output_that_was_lost_in_a_flood_counts) {
    const Flood flood;
    flood_output(flood.bobs, flood.bobs_other);
    const BootTime written = base::read_boot_time();
    write_line(flood.alices);
    ck_assert(flood.alice_as_seen().output >= written);
}
END_TEST

START_TEST(who_is_told_of_a_terminal_may_remove_it) {
    const Pty first;
    const Pty second;
    Loop loop;
    loop.when_used = [&] {
        loop.watch->remove(first.terminal);
        loop.watch->remove(second.terminal);
    };
    CHECK_OK(loop.watch->add(first.terminal, {}));
    CHECK_OK(loop.watch->add(second.terminal, {}));
    type_and_read(first);
    type_and_read(second);
    loop.run_for(milliseconds{50});
    ck_assert_uint_eq(loop.used.size(), 2);
    ck_assert(!loop.watch->get(first.terminal).has_value());
}
END_TEST

START_TEST(a_terminals_number_that_is_used_again_is_watched_anew) {
    const Loop loop;
    enforce::Terminal before;
    const BootTime known = base::read_boot_time() - Seconds{30};
    {
        const Pty first;
        before = first.terminal;
        CHECK_OK(loop.watch->add(first.terminal, {}));
        type_and_read(first);
    }
    const Pty second;
    ck_assert(second.terminal == before);
    CHECK_OK(loop.watch->add(second.terminal, {known, known}));
    ck_assert(loop.watch->get(second.terminal)->input == known);
    loop.watch->refresh(); // with what was still in the queue of the first
    ck_assert(loop.watch->get(second.terminal)->input == known);
    const BootTime typed = base::read_boot_time();
    type_and_read(second);
    loop.watch->refresh();
    ck_assert(loop.watch->get(second.terminal)->input >= typed);
    loop.watch->remove(second.terminal);
    ck_assert(!loop.watch->get(second.terminal).has_value());
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

void give_to(const Pty& pty, uid_t owner) {
    ck_assert_int_eq(::fchown(pty.slave.get(), owner, gid_t(-1)), 0);
}

/// What stands still at it keeps it open on the other side, and no event of its node comes.
START_TEST(a_terminal_that_is_closed_is_told_whoever_still_has_it_open) {
    const Loop loop;
    Pty watched;
    Pty other;
    CHECK_OK(loop.watch->add(watched.terminal, {}));
    loop.run_for(milliseconds{20});
    other.master.reset();
    loop.run_for(milliseconds{20});
    ck_assert(loop.closed.empty());
    watched.master.reset();
    loop.run_for(milliseconds{20});
    ck_assert_uint_eq(loop.closed.size(), 1);
    CHECK_TEXT(loop.closed.front(), watched.terminal.path);
}
END_TEST

START_TEST(a_terminal_that_is_closed_is_told_where_the_queue_was_too_small) {
    const Loop loop;
    Pty watched;
    const Pty other;
    CHECK_OK(loop.watch->add(watched.terminal, {}));
    CHECK_OK(loop.watch->add(other.terminal, {}));
    for (int i = more_than_the_queue(); i > 0; i -= 2)
        Pty{};
    watched.master.reset();
    loop.run_for(milliseconds{200});
    ck_assert_uint_ge(loop.closed.size(), 1);
    ck_assert(std::ranges::all_of(loop.closed,
                                  [&](const auto& path) { return path == watched.terminal.path; }));
}
END_TEST

/// Who has the number next is told of afterwards: he takes it over.
START_TEST(a_terminal_is_closed_before_another_has_its_number) {
    const Loop loop;
    std::string path;
    {
        const Pty closing;
        path = closing.terminal.path;
        CHECK_OK(loop.watch->add(closing.terminal, {}));
        loop.run_for(milliseconds{600});
    }
    const auto before = loop.order.size();
    const Pty next;
    CHECK_TEXT(next.terminal.path, path);
    give_to(next, 1234);
    loop.run_for(milliseconds{50});
    ck_assert_uint_eq(loop.order.size(), before + 2);
    CHECK_TEXT(loop.order[before], "closed " + path);
    CHECK_TEXT(loop.order[before + 1], "made " + path);
}
END_TEST

START_TEST(a_number_that_another_has_is_closed_and_new_after_a_flood) {
    const Loop loop;
    const Pty other;
    std::string path;
    give_to(other, 1233);
    CHECK_OK(loop.watch->add(other.terminal, {}));
    {
        const Pty closing;
        path = closing.terminal.path;
        CHECK_OK(loop.watch->add(closing.terminal, {}));
    }
    for (int i = more_than_the_queue(); i > 0; i -= 2)
        Pty{};
    const Pty next;
    CHECK_TEXT(next.terminal.path, path);
    give_to(next, 1234);
    loop.run_for(milliseconds{200});
    ck_assert(std::ranges::count(loop.closed, path) > 0);
    ck_assert(std::ranges::count(loop.closed, other.terminal.path) == 0);
    ck_assert(std::ranges::count(loop.created, std::pair{std::string{}, uid_t{1234}}) == 1);
    ck_assert(std::ranges::count(loop.created, std::pair{std::string{}, uid_t{1233}}) == 0);
    // The other one is watched as before.
    loop.run_for(milliseconds{1100});
    type_and_read(other);
    const BootTime typed = base::read_boot_time();
    loop.watch->refresh();
    ck_assert(loop.watch->get(other.terminal)->input >= typed - Seconds{1});
}
END_TEST

START_TEST(changes_of_users_own_nodes_wake_nobody_and_hide_nothing) {
    const Loop loop;
    const Pty one;
    const Pty other;
    give_to(one, 1235);
    give_to(other, 1235);
    const Pty waiting; // from now on changes of owner matter
    loop.run_for(milliseconds{20});
    for (int i = more_than_the_queue(); i > 0; i -= 2) {
        ck_assert_int_eq(::fchmod(one.slave.get(), 0620), 0);
        ck_assert_int_eq(::fchmod(other.slave.get(), 0620), 0);
    }
    ck_assert_int_eq(loop.run_for(milliseconds{20}), 0);
    give_to(waiting, 1234);
    loop.run_for(milliseconds{50});
    ck_assert_uint_eq(loop.created.size(), 2);
    ck_assert_uint_eq(loop.created[0].second, 1235); // of two terminals, once
    CHECK_TEXT(loop.created[0].first, "");
    CHECK_TEXT(loop.created[1].first, waiting.terminal.path);
    ck_assert_uint_eq(loop.created[1].second, 1234);
}
END_TEST

START_TEST(owners_of_unknown_terminals_are_told_when_a_flood_hid_which_are_new) {
    const Loop loop;
    const Pty known;
    give_to(known, 1233);
    CHECK_OK(loop.watch->add(known.terminal, {}));
    loop.run_for(milliseconds{20});
    for (int i = more_than_the_queue(); i > 0; i -= 2) {
        const Pty first;
        const Pty second;
    }
    const Pty pty;
    const Pty another;
    const Pty roots;
    give_to(pty, 1234);
    give_to(another, 1234);
    loop.run_for(milliseconds{700});
    ck_assert(std::ranges::count(loop.created, std::pair{std::string{}, uid_t{1234}}) == 1);
    ck_assert(std::ranges::count(loop.created, std::pair{roots.terminal.path, uid_t{0}}) == 1);
    ck_assert(std::ranges::count(loop.created, std::pair{std::string{}, uid_t{1233}}) == 0);
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
    return vigil::test::run("activity",
                            {what_is_typed_while_nobody_watches_is_seen_by_the_next,
                             a_watch_that_nobody_claims_wakes_once_and_is_gone,
                             refresh_takes_what_the_loop_has_not,
                             typing_for_three_seconds_wakes_once_a_second_and_is_seen_within_one,
                             a_terminal_at_rest_wakes_nobody_and_one_key_is_seen_at_once,
                             output_is_not_input,
                             keys_read_through_dev_tty_count,
                             a_flood_of_input_leaves_the_terminals_of_others_idle,
                             a_flood_of_output_leaves_the_terminals_of_others_idle,
                             a_key_that_was_lost_in_a_flood_counts,
                             output_that_was_lost_in_a_flood_counts,
                             who_is_told_of_a_terminal_may_remove_it,
                             a_terminals_number_that_is_used_again_is_watched_anew,
                             a_new_terminal_is_told_with_its_owner,
                             a_new_terminal_that_stays_roots_is_told_after_half_a_second,
                             a_terminal_that_is_closed_is_told_whoever_still_has_it_open,
                             a_terminal_that_is_closed_is_told_where_the_queue_was_too_small,
                             a_terminal_is_closed_before_another_has_its_number,
                             a_number_that_another_has_is_closed_and_new_after_a_flood,
                             changes_of_users_own_nodes_wake_nobody_and_hide_nothing,
                             owners_of_unknown_terminals_are_told_when_a_flood_hid_which_are_new,
                             a_removed_terminal_is_unknown_and_silent},
                            {.before = make_dev, .seconds = 20});
}
