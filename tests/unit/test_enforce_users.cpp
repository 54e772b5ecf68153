#include "base/clock.hpp"
#include "daemon/enforce/lock.hpp"
#include "daemon/enforce/terminal_users.hpp"
#include "tests/unit/pty.hpp"
#include "tests/unit/scope_help.hpp"

#include <algorithm>
#include <csignal>
#include <functional>
#include <memory>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>

using namespace vigil;
using test::Pty;
using test::scope;

namespace {

/// Of this run alone: others look through the processes of their own owner.
const uid_t owner = 2'000'000U + 2 * static_cast<uid_t>(::getpid());
const uid_t stranger = owner + 1;
/// Files of one process, and processes, that together are more than any look has time for.
constexpr rlim_t heap = 8000;
constexpr int heaps = 3;

/// A process that does something, says that it is done, and stays.
class Process {
public:
    Process(uid_t uid, const std::function<bool()>& prepare) {
        int ends[2];
        ck_assert_int_eq(::pipe(ends), 0);
        pid_ = ::fork();
        ck_assert_int_ge(pid_, 0);
        if (pid_ == 0)
            run(uid, prepare, ends[1]);
        ::close(ends[1]);
        char word = 0;
        ck_assert_msg(::read(ends[0], &word, 1) == 1, "the process could not prepare itself");
        ::close(ends[0]);
    }
    ~Process() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    pid_t pid() const noexcept { return pid_; }

private:
    /// As a program that the user started: who changes his uid may not be looked into by others.
    static bool become(uid_t uid) { return ::setuid(uid) == 0 && ::prctl(PR_SET_DUMPABLE, 1) == 0; }
    [[noreturn]] static void run(uid_t uid, const std::function<bool()>& prepare, int told) {
        const rlimit files{heap + 100, heap + 100};
        ::setrlimit(RLIMIT_NOFILE, &files);
        // Its leader must be free to take a terminal, and it must not outlive the test.
        if (::setsid() < 0 || !prepare() || (uid != 0 && !become(uid)) ||
            ::prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || ::write(told, "x", 1) != 1)
            ::_exit(1);
        while (true)
            ::pause();
    }

    pid_t pid_ = -1;
};

/// Makes the pty the process's controlling terminal, and keeps no descriptor of it.
bool own_and_close(const Pty& pty) {
    return ::ioctl(pty.slave.get(), TIOCSCTTY, 0) == 0 && ::close(pty.slave.get()) == 0 &&
           ::close(pty.master.get()) == 0;
}

bool close_both(const Pty& pty) {
    return ::close(pty.slave.get()) == 0 && ::close(pty.master.get()) == 0;
}

/// Without the terminal, but to know that takes long.
std::vector<std::unique_ptr<Process>> make_heaps(uid_t uid, const Pty& pty) {
    std::vector<std::unique_ptr<Process>> made;
    for (int i = 0; i < heaps; ++i)
        made.push_back(std::make_unique<Process>(uid, [&] {
            const int first = ::open("/dev/null", O_RDONLY);
            for (rlim_t file = 0; file < heap; ++file)
                if (::fcntl(first, F_DUPFD, 0) < 0)
                    return false;
            return close_both(pty);
        }));
    return made;
}

void into_scope(const Process& process) {
    const std::string path = test::directory() + "/cgroup.procs";
    const base::UniqueFd fd{::open(path.c_str(), O_WRONLY)};
    const std::string pid = std::to_string(process.pid());
    ck_assert_int_eq(::write(fd.get(), pid.data(), pid.size()), static_cast<ssize_t>(pid.size()));
}

std::vector<pid_t> users(const Pty& pty) {
    enforce::UserSearch search{scope(), ::getpid(), {pty.terminal}};
    const auto found = search.look({});
    CHECK_OK(found);
    return *found;
}

/// As this process sees it who holds the terminal itself, but is root's.
std::vector<enforce::ForeignHolder> holders(const Pty& pty) {
    return enforce::foreign_holders(scope(), owner, {pty.terminal});
}

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

/// As in a container: terminals of an instance of their own, numbered as those outside are.
bool take_namesake(const Pty& pty) {
    unsigned wanted = 0;
    if (::ioctl(pty.master.get(), TIOCGPTN, &wanted) < 0 || !close_both(pty) ||
        ::unshare(CLONE_NEWNS) < 0 ||
        ::mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666") < 0)
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

START_TEST(what_is_held_already_is_not_told_again) {
    const Pty pty;
    const Process reader{owner, [] { return true; }};
    into_scope(reader);
    ck_assert(users(pty) == std::vector{reader.pid()});
    enforce::UserSearch search{scope(), 1, {pty.terminal}};
    const auto found = search.look({reader.pid()});
    CHECK_OK(found);
    ck_assert(found->empty());
}
END_TEST

START_TEST(a_process_of_the_session_that_there_is_no_time_to_look_through_is_a_user) {
    const Pty pty;
    const auto heaped = make_heaps(owner, pty);
    for (const auto& one : heaped)
        into_scope(*one);
    ck_assert(users(pty) == std::vector{heaped.back()->pid()});
}
END_TEST

START_TEST(a_scope_that_cannot_be_read_is_an_error_and_one_that_is_gone_is_not) {
    CHECK_ERROR((enforce::UserSearch{"no path", 1, {}}.look({})), EINVAL);
    CHECK_OK((enforce::UserSearch{scope() + "-gone", 1, {}}.look({})));
}
END_TEST

START_TEST(a_holder_outside_is_told_with_its_terminal) {
    const Pty pty;
    const Process reader{owner, [] { return true; }};
    const Process neighbour{owner, [&] { return close_both(pty); }};
    const Process strange{stranger, [] { return true; }};
    const auto found = holders(pty);
    ck_assert_uint_eq(found.size(), 2);
    ck_assert_int_eq(found[0].pid, reader.pid());
    ck_assert_uint_eq(found[0].uid, owner);
    CHECK_TEXT(found[0].path, pty.terminal.path);
    ck_assert_int_eq(found[1].pid, strange.pid());
}
END_TEST

START_TEST(a_holder_that_hides_its_owner_is_told) {
    const Pty pty;
    const Process effectively_roots{0, [] { return ::setresuid(owner, 0, 0) == 0; }};
    const Process secretive{0, [] { return ::setuid(owner) == 0; }};
    const auto found = holders(pty);
    ck_assert_uint_eq(found.size(), 2);
}
END_TEST

void* hold_in_a_thread(void* told) {
    if (::unshare(CLONE_FILES) < 0)
        ::_exit(1);
    *static_cast<volatile bool*>(told) = true;
    while (true)
        ::pause();
    return nullptr;
}

/// The terminal is open in a thread of its own table alone.
bool hide_in_a_thread(const Pty& pty) {
    static volatile bool unshared = false;
    pthread_t thread;
    if (::pthread_create(&thread, nullptr, hold_in_a_thread, const_cast<bool*>(&unshared)) != 0)
        return false;
    while (!unshared)
        ::usleep(1000);
    return close_both(pty);
}

START_TEST(a_descriptor_in_a_threads_own_table_is_seen) {
    const Pty pty;
    const Process reader{owner, [&] { return hide_in_a_thread(pty); }};
    const auto found = holders(pty);
    ck_assert_uint_eq(found.size(), 1);
    ck_assert_int_eq(found[0].pid, reader.pid());
    CHECK_TEXT(found[0].path, pty.terminal.path);
    into_scope(reader);
    ck_assert(users(pty) == std::vector{reader.pid()});
}
END_TEST

START_TEST(threads_that_share_their_descriptors_cost_little) {
    const Pty pty;
    const auto wait = [](void*) -> void* {
        while (true)
            ::pause();
    };
    const Process busy{owner, [&] {
                           const int file = ::open("/dev/null", O_RDONLY);
                           for (int i = 0; i < 1000; ++i)
                               if (::fcntl(file, F_DUPFD, 0) < 0)
                                   return false;
                           pthread_t thread;
                           for (int i = 0; i < 100; ++i)
                               if (::pthread_create(&thread, nullptr, wait, nullptr) != 0)
                                   return false;
                           return close_both(pty);
                       }};
    ck_assert(holders(pty).empty());
}
END_TEST

START_TEST(a_descriptor_opened_as_dev_tty_is_seen) {
    const Pty pty;
    const Process reader{owner, [&] {
                             if (::ioctl(pty.slave.get(), TIOCSCTTY, 0) < 0 ||
                                 ::open("/dev/tty", O_RDONLY) < 0)
                                 return false;
                             return close_both(pty);
                         }};
    const auto found = holders(pty);
    ck_assert_uint_eq(found.size(), 1);
    CHECK_TEXT(found[0].path, pty.terminal.path);
}
END_TEST

START_TEST(one_that_there_is_no_time_to_look_through_is_told_as_such) {
    const Pty pty;
    const auto heaped = make_heaps(owner, pty);
    const Process plain{owner, [&] { return close_both(pty); }};
    const auto found = holders(pty);
    ck_assert_uint_eq(found.size(), 1);
    ck_assert_int_eq(found[0].pid, heaped.back()->pid());
    CHECK_TEXT(found[0].path, "");
}
END_TEST

START_TEST(a_strangers_heap_of_files_takes_nothing_from_others) {
    const Pty pty;
    const auto heaped = make_heaps(stranger, pty);
    ck_assert(holders(pty).empty());
    const Process reader{owner, [] { return true; }};
    ck_assert_uint_eq(holders(pty).size(), 1);
}
END_TEST

START_TEST(no_more_holders_are_told_than_the_bound) {
    const Pty pty;
    std::vector<std::unique_ptr<Process>> many;
    for (std::size_t i = 0; i < enforce::max_holders + 5; ++i)
        many.push_back(std::make_unique<Process>(owner, [] { return true; }));
    ck_assert_uint_eq(holders(pty).size(), enforce::max_holders);
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

/// In the scope with all that it starts.
bool join_scope() {
    const std::string path = test::directory() + "/cgroup.procs";
    const base::UniqueFd fd{::open(path.c_str(), O_WRONLY)};
    return ::write(fd.get(), "0", 1) == 1;
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
                             if (!join_scope() || ::pipe(ends) < 0)
                                 return false;
                             if (::fork() == 0)
                                 pose_as_a_carrier(console, ends[1]);
                             char word = 0;
                             return close_both(console) && ::read(ends[0], &word, 1) == 1;
                         }};
    const auto terminals = enforce::find_terminals(scope(), leader.pid());
    CHECK_OK(terminals);
    ck_assert_uint_eq(terminals->size(), 1);
    CHECK_TEXT(terminals->front().path, console.terminal.path);
}
END_TEST

START_TEST(a_job_that_left_the_scope_is_frozen_with_its_children_and_comes_back_in_it) {
    const Pty pty;
    const Process leader{0, [&] { return ::close(pty.slave.get()) == 0; }};
    into_scope(leader);
    const Process job{0, [&] {
                          if (!own_and_close(pty))
                              return false;
                          if (::fork() == 0)
                              multiply();
                          return true;
                      }};
    const enforce::LockTarget target{.session = {}, .scope = scope(), .leader = leader.pid()};
    std::vector<core::SavedTerminal> saved;
    const auto report = enforce::hold(target, {}, [&](const core::SavedTerminal& terminal) {
        saved.push_back(terminal);
        return Result<>{};
    });
    ck_assert_msg(report.held, "%s", report.detail.c_str());
    const auto held = enforce::processes_in(scope() + "/" + enforce::frozen_child);
    CHECK_OK(held);
    ck_assert(std::ranges::binary_search(*held, job.pid()));
    ck_assert(!std::ranges::binary_search(*held, leader.pid()));
    // Not by the list: until all stand still it can grow.
    const std::string frozen = scope() + "/" + enforce::frozen_child;
    CHECK_OK(enforce::for_numbers_in("/proc", [&](int, int pid) {
        if (is_of_job(pid, job))
            CHECK_TEXT(enforce::cgroup_of(pid).value_or(frozen), frozen);
        return true;
    }));
    sd_event* raw = nullptr;
    ck_assert_int_ge(sd_event_new(&raw), 0);
    const base::EventLoop loop{raw};
    enforce::Redraw redraw{loop.get()};
    CHECK_OK(enforce::release(target, saved, redraw));
    CHECK_TEXT(*enforce::cgroup_of(job.pid()), scope());
}
END_TEST

} // namespace

int main() {
    Suite* suite = suite_create("users");
    TCase* tests = tcase_create("users");
    tcase_add_checked_fixture(tests, test::make_scope, test::remove_scope);
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, a_process_elsewhere_is_a_user_if_the_terminal_is_its_own);
    tcase_add_test(tests, a_terminal_of_the_same_number_in_a_container_is_another);
    tcase_add_test(tests, what_is_held_already_is_not_told_again);
    tcase_add_test(tests, a_process_of_the_session_that_there_is_no_time_to_look_through_is_a_user);
    tcase_add_test(tests, a_scope_that_cannot_be_read_is_an_error_and_one_that_is_gone_is_not);
    tcase_add_test(tests, a_holder_outside_is_told_with_its_terminal);
    tcase_add_test(tests, a_holder_that_hides_its_owner_is_told);
    tcase_add_test(tests, a_descriptor_in_a_threads_own_table_is_seen);
    tcase_add_test(tests, threads_that_share_their_descriptors_cost_little);
    tcase_add_test(tests, a_descriptor_opened_as_dev_tty_is_seen);
    tcase_add_test(tests, one_that_there_is_no_time_to_look_through_is_told_as_such);
    tcase_add_test(tests, a_strangers_heap_of_files_takes_nothing_from_others);
    tcase_add_test(tests, no_more_holders_are_told_than_the_bound);
    tcase_add_test(tests, a_terminal_that_the_user_made_does_not_take_the_place_of_the_consoles);
    tcase_add_test(tests,
                   a_job_that_left_the_scope_is_frozen_with_its_children_and_comes_back_in_it);
    suite_add_tcase(suite, tests);
    return test::run(suite);
}
