#include "base/directory.hpp"
#include "daemon/enforce/lock.hpp"
#include "tests/unit/holding.hpp"

#include <poll.h>
#include <sys/sysmacros.h>

using namespace vigil;
using namespace vigil::test;

namespace {

START_TEST(a_process_elsewhere_is_a_user_if_the_terminal_is_its_own) {
    const Pty pty;
    const Pty other;
    const Process job{owner, [&] { return own_and_close(pty); }};
    const Process roots_job{0, [&] { return own_and_close(other); }};
    const Process reader{owner, [] { return true; }}; // has pty.slave open
    ck_assert(users(pty) == std::vector{job.pid()});
    ck_assert(users(other) == std::vector{roots_job.pid()});
}
END_TEST

START_TEST(a_terminals_master_tells_whose_it_is_and_else_nobody_does) {
    const Pty pty;
    const Pty free;
    const Process job{owner, [&] { return own_and_close(pty); }};
    const std::vector carriers{::getpid()};
    const auto sessions = enforce::controlling_sessions(carriers, {pty.terminal, free.terminal});
    CHECK_OK(sessions);
    ck_assert((sessions->sessions == std::vector{job.pid(), 0}));
    ck_assert(sessions->untold.empty() && sessions->closed.empty());
    // job.pid() has no master, nor has anybody that of a terminal that is none.
    const auto without = enforce::controlling_sessions({job.pid()}, {pty.terminal});
    CHECK_OK(without);
    ck_assert(without->sessions.empty() && without->closed == std::vector{pty.terminal});
    const enforce::Terminal none{.path = "/dev/tty9", .device = makedev(4, 9)};
    const auto some = enforce::controlling_sessions(carriers, {pty.terminal, none});
    CHECK_OK(some);
    ck_assert(some->sessions == std::vector{job.pid()} && some->closed == std::vector{none});
}
END_TEST

START_TEST(of_the_session_alone_nobody_else_is_a_user) {
    const Pty pty;
    const Process job{owner, [&] { return own_and_close(pty); }};
    enforce::UserSearch search{scope(), ::getpid(), {pty.terminal}};
    const auto found = search.look({});
    CHECK_OK(found);
    ck_assert(found->empty());
    move_to_scope(job.pid());
    ck_assert(search.look({}) == std::vector{job.pid()});
}
END_TEST

bool leave_mounts() {
    return ::unshare(CLONE_NEWNS) == 0 &&
           ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

/// As in a container: terminals of an instance of their own, numbered as those outside are, of
/// which one file may be there as the console.
bool take_namesake(const Pty& pty) {
    unsigned wanted = 0;
    if (::ioctl(pty.master.get(), TIOCGPTN, &wanted) < 0 || !close_both(pty) || !leave_mounts() ||
        ::mount(pty.terminal.path.c_str(), "/dev/null", nullptr, MS_BIND, nullptr) < 0)
        return false;
    while (::umount2("/dev/pts", MNT_DETACH) == 0) {
    }
    if (::mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666") < 0)
        return false;
    for (unsigned index = 0;;) {
        const int unlocked = 0;
        const int master = ::open("/dev/pts/ptmx", O_RDWR | O_NOCTTY);
        if (::ioctl(master, TIOCGPTN, &index) < 0 || ::ioctl(master, TIOCSPTLCK, &unlocked) < 0)
            return false;
        if (index == wanted)
            return ::open(pty.terminal.path.c_str(), O_RDWR) >= 0; // and it is the process's own
    }
}

START_TEST(a_terminal_of_the_same_number_in_a_container_is_another) {
    const Pty pty;
    const Process contained{owner, [&] { return take_namesake(pty); }};
    const auto stat = base::read_process_stat(contained.pid());
    CHECK_OK(stat);
    ck_assert_uint_eq(stat->terminal, pty.terminal.device);
    ck_assert(users(pty).empty());
    ck_assert(holders(pty).empty());
}
END_TEST

START_TEST(a_job_that_sees_other_mounts_is_one_of_the_terminals_all_the_same) {
    const Pty pty;
    const Process job{owner, [&] { return own_and_close(pty) && leave_mounts(); }};
    ck_assert(users(pty) == std::vector{job.pid()});
}
END_TEST

START_TEST(what_is_held_already_is_not_told_again) {
    const Pty pty;
    const Process reader{owner, [] { return true; }};
    move_to_scope(reader.pid());
    ck_assert(users(pty) == std::vector{reader.pid()});
    enforce::UserSearch search{scope(), 1, {pty.terminal}};
    ck_assert(users(search, {reader.pid()}).empty());
}
END_TEST

START_TEST(a_process_of_the_session_that_there_is_no_time_to_look_through_is_a_user) {
    const Pty pty;
    const auto heaped = make_heaps(owner, pty);
    for (const auto& one : heaped)
        move_to_scope(one->pid());
    ck_assert(users(pty) == std::vector{last_of(heaped)});
}
END_TEST

START_TEST(a_scope_that_cannot_be_read_is_an_error_and_one_that_is_gone_is_not) {
    const Pty pty;
    const Process job{owner, [&] { return own_and_close(pty); }};
    CHECK_ERROR((enforce::UserSearch{"no path", 1, {pty.terminal}}.look({})), EINVAL);
    enforce::UserSearch gone{scope() + "-gone", 1, {pty.terminal}};
    ck_assert(users(gone).empty());
}
END_TEST

START_TEST(one_look_tells_of_each_session_who_is_its_job_elsewhere) {
    const Pty first;
    const Pty second;
    const Process one{owner, [&] { return own_and_close(first); }};
    const Process two{owner, [&] { return own_and_close(second); }};
    enforce::UserSearch of_first{scope(), ::getpid(), {first.terminal}};
    enforce::UserSearch of_second{scope(), ::getpid(), {second.terminal}};
    enforce::UserSearch of_both{scope(), ::getpid(), {first.terminal, second.terminal}};
    for (auto* search : {&of_first, &of_second, &of_both})
        CHECK_OK(search->look({}));
    auto found = enforce::UserSearch::look_elsewhere({&of_first, &of_second, &of_both});
    ck_assert_uint_eq(found.size(), 3);
    for (const auto& users : found)
        CHECK_OK(users);
    ck_assert(*found[0] == std::vector{one.pid()});
    ck_assert(*found[1] == std::vector{two.pid()});
    std::ranges::sort(*found[2]);
    ck_assert(*found[2] ==
              (std::vector{std::min(one.pid(), two.pid()), std::max(one.pid(), two.pid())}));
    ck_assert(of_first.elsewhere() == std::set{one.pid()});
}
END_TEST

/// Forks, a child each millisecond, until there are a hundred; they stay.
[[noreturn]] void multiply() {
    for (int i = 0; i < 100; ++i) {
        if (::fork() == 0)
            while (true)
                ::pause();
        ::poll(nullptr, 0, 1);
    }
    while (true)
        ::pause();
}

/// Not by the terminal's number, which a container has too.
bool is_of_job(pid_t pid, const Process& job) {
    const auto stat = base::read_process_stat(pid);
    return stat && stat->session == job.pid();
}

/// As the shell of a console's login that runs the login program once more, under a library of its
/// own, and with a terminal that it made.
[[noreturn]] void pose_as_a_carrier(const Pty& console, int told) {
    if (::setsid() >= 0 && ::ioctl(console.slave.get(), TIOCSCTTY, 0) == 0 && close_both(console) &&
        ::open("/dev/ptmx", O_RDWR | O_NOCTTY) >= 0 && ::write(told, "x", 1) == 1)
        while (true)
            ::pause();
    ::_exit(1);
}

START_TEST(a_terminal_that_the_user_made_does_not_take_the_place_of_the_consoles) {
    const Pty console;
    const Process leader{0, [&] {
                             int ends[2];
                             move_to_scope(::getpid());
                             if (::pipe(ends) < 0)
                                 return false;
                             if (::fork() == 0)
                                 pose_as_a_carrier(console, ends[1]);
                             char word = 0;
                             return close_both(console) && ::read(ends[0], &word, 1) == 1;
                         }};
    const auto terminals = enforce::find_terminals({.scope = scope(), .leader = leader.pid()});
    CHECK_OK(terminals);
    ck_assert_uint_eq(terminals->size(), 1);
    CHECK_TEXT(terminals->front().path, console.terminal.path);
}
END_TEST

START_TEST(a_job_that_left_the_scope_is_frozen_with_its_children_and_comes_back_in_it) {
    const Pty pty;
    const Process leader{0, [&] { return ::close(pty.slave.get()) == 0; }};
    move_to_scope(leader.pid());
    const Process job{0, [&] {
                          if (!own_and_close(pty))
                              return false;
                          if (::fork() == 0)
                              multiply();
                          return true;
                      }};
    const enforce::LockTarget target{.session = {}, .scope = scope(), .leader = leader.pid()};
    std::vector<core::SavedTerminal> saved;
    std::size_t taken = 0;
    const auto reports =
        enforce::hold({{.target = target,
                        .saved = {},
                        .save =
                            [&](const core::SavedTerminal& terminal) {
                                saved.push_back(terminal);
                                return Result<>{};
                            },
                        .taken = [&](const auto& terminals) { taken += terminals.size(); }}});
    ck_assert_uint_eq(reports.size(), 1);
    const auto& report = reports.front();
    ck_assert_uint_eq(taken, 1);
    ck_assert_msg(report.held, "%s", report.detail.c_str());
    const auto held = base::processes_in(scope() + "/" + enforce::frozen_child);
    CHECK_OK(held);
    ck_assert(std::ranges::binary_search(*held, job.pid()));
    ck_assert(!std::ranges::binary_search(*held, leader.pid()));
    // Not by the list: until all stand still it can grow.
    const std::string frozen = scope() + "/" + enforce::frozen_child;
    CHECK_OK(base::for_numbers_in("/proc", [&](int, int pid) {
        if (is_of_job(pid, job))
            CHECK_TEXT(base::cgroup_of(pid).value_or(frozen), frozen);
        return true;
    }));
    sd_event* raw = nullptr;
    ck_assert_int_ge(sd_event_new(&raw), 0);
    const base::EventLoop loop{raw};
    enforce::Redraw redraw{loop.get()};
    CHECK_OK(enforce::release(target, saved, redraw));
    CHECK_TEXT(*base::cgroup_of(job.pid()), scope());
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "users",
        {a_process_elsewhere_is_a_user_if_the_terminal_is_its_own,
         a_terminals_master_tells_whose_it_is_and_else_nobody_does,
         of_the_session_alone_nobody_else_is_a_user,
         a_terminal_of_the_same_number_in_a_container_is_another,
         a_job_that_sees_other_mounts_is_one_of_the_terminals_all_the_same,
         what_is_held_already_is_not_told_again,
         a_process_of_the_session_that_there_is_no_time_to_look_through_is_a_user,
         one_look_tells_of_each_session_who_is_its_job_elsewhere,
         a_scope_that_cannot_be_read_is_an_error_and_one_that_is_gone_is_not,
         a_terminal_that_the_user_made_does_not_take_the_place_of_the_consoles,
         a_job_that_left_the_scope_is_frozen_with_its_children_and_comes_back_in_it},
        {.before = test::make_scope, .after = test::remove_scope, .seconds = 30});
}
