// When a session that is to be held has no terminal, and when that is only not known.

#include "base/cgroup.hpp"
#include "daemon/enforce/lock.hpp"
#include "daemon/enforce/scope.hpp"
#include "tests/unit/holding.hpp"

#include <sys/sysmacros.h>

using namespace vigil;
using test::move_to_scope;
using test::owner;
using test::Process;
using test::Pty;
using test::scope;

namespace {

/// As login(1), which has no terminal itself: its child has it.
class Login {
public:
    explicit Login(const Pty& pty)
        : leader_{0, [&] {
                      move_to_scope(::getpid());
                      const pid_t child = ::fork();
                      if (child == 0)
                          be_the_shell(pty);
                      return child > 0 && ::write(told_[1], &child, sizeof child) == sizeof child &&
                             test::close_both(pty);
                  }} {
        ck_assert_int_eq(::read(told_[0], &child_, sizeof child_), sizeof child_);
        test::eventually([&] { return terminal() == pty.terminal.device; });
    }

    pid_t pid() const noexcept { return leader_.pid(); }
    pid_t child() const noexcept { return child_; }
    dev_t terminal() const { return base::read_process_stat(child_).value().terminal; }

    /// TIOCNOTTY, as any program in the shell's place can.
    void let_go() const {
        ck_assert_int_eq(::kill(child_, SIGUSR1), 0);
        test::eventually([&] { return terminal() == 0; });
    }

private:
    struct Ends {
        Ends() { ck_assert_int_eq(::pipe2(ends, O_CLOEXEC), 0); }
        int operator[](int end) const noexcept { return ends[end]; }
        int ends[2];
    };

    [[noreturn]] static void be_the_shell(const Pty& pty) {
        static int slave = pty.slave.get();
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::signal(SIGHUP, SIG_IGN);
        ::signal(SIGUSR1, [](int) { ::ioctl(slave, TIOCNOTTY); });
        ::setsid();
        ::close(pty.master.get());
        ::ioctl(slave, TIOCSCTTY, 0);
        while (true)
            ::pause();
    }

    const Ends told_;
    pid_t child_ = -1;
    const Process leader_;
};

enforce::LockTarget target_of(pid_t leader) {
    return {.session = {}, .owner = owner, .scope = scope(), .leader = leader};
}

enforce::LockReport hold(const enforce::LockTarget& target,
                         const std::vector<enforce::Terminal>& before = {},
                         const std::vector<core::SavedTerminal>& saved = {}) {
    return enforce::hold({{.target = target,
                           .saved = saved,
                           .before = before,
                           .save = [](const auto&) { return Result<>{}; },
                           .taken = [](const auto&) {}}})
        .front();
}

START_TEST(what_has_no_terminal_says_so_and_what_could_not_be_looked_at_does_not) {
    const Process leader{0, [] { return true; }};
    move_to_scope(leader.pid());
    auto target = target_of(leader.pid());
    auto report = hold(target);
    ck_assert(!report.held && report.no_terminal);
    CHECK_TEXT(report.detail, "its last terminal is closed, and what stood still there was ended");
    rlimit before{};
    ck_assert_int_eq(::getrlimit(RLIMIT_NOFILE, &before), 0);
    // With the last, the lists can be read, and no file of one that is open.
    const base::UniqueFd next{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    for (rlim_t more = 0; more < 3; ++more) {
        const rlimit few{static_cast<rlim_t>(next.get()) + more, before.rlim_max};
        ck_assert_int_eq(::setrlimit(RLIMIT_NOFILE, &few), 0);
        report = hold(target);
        ck_assert_int_eq(::setrlimit(RLIMIT_NOFILE, &before), 0);
        ck_assert_msg(!report.held && !report.no_terminal, "%lu: %s", more, report.detail.c_str());
    }
    const Process elsewhere{0, [] { return true; }};
    target.leader = elsewhere.pid();
    report = hold(target);
    ck_assert(!report.held && !report.no_terminal);
}
END_TEST

START_TEST(a_terminal_that_a_program_may_have_let_go_is_not_closed) {
    const Pty pty;
    const Login login{pty};
    const auto target = target_of(login.pid());
    login.let_go();
    const auto report = hold(target, {pty.terminal});
    ck_assert(!report.held && !report.no_terminal);
    CHECK_TEXT(report.detail, "its programs have let its terminal go");
    // Nor by what is written down of an attempt that came no further.
    const auto saved = enforce::save({}, pty.terminal, scope(), owner);
    CHECK_OK(saved);
    ck_assert(!hold(target, {}, {*saved}).no_terminal);
    ck_assert(hold(target).no_terminal);
}
END_TEST

START_TEST(one_that_is_closed_where_all_stands_still_is) {
    Pty pty;
    const Login login{pty};
    const auto target = target_of(login.pid());
    const auto held = hold(target);
    ck_assert_msg(held.held, "%s", held.detail.c_str());
    pty.master.reset();
    const auto report = hold(target, {pty.terminal}, held.terminals);
    ck_assert_msg(report.no_terminal, "%s", report.detail.c_str());
}
END_TEST

START_TEST(what_is_asked_for_at_a_lock_console_a_session_has_for_as_long_as_its_leader) {
    const Pty pty;
    const Login login{pty};
    const Process elsewhere{0, [] { return true; }};
    const enforce::Terminal console{"/dev/tty20", 0x414};
    const auto found = [&](pid_t leader) {
        return enforce::find_terminals({.scope = scope(), .leader = leader, .shut = {console}})
            .value();
    };
    ck_assert(found(login.pid()) == (std::vector{pty.terminal, console}));
    login.let_go();
    ck_assert(found(login.pid()) == std::vector{console});
    ck_assert(found(elsewhere.pid()).empty());
    core::SavedTerminal saved;
    saved.path = console.path;
    saved.device = console.device;
    ck_assert(enforce::shut_among({saved}).empty());
    saved.lock_console = 13;
    ck_assert(enforce::shut_among({saved}) == std::vector{console});
}
END_TEST

START_TEST(the_line_that_it_began_at_a_session_has_whatever_its_programs_have) {
    const Pty pty;
    const Login login{pty};
    const auto found = [&](pid_t leader, const char* begun_at) {
        return enforce::find_terminals({.scope = scope(), .leader = leader, .begun_at = begun_at})
            .value();
    };
    const std::vector line{enforce::Terminal{"/dev/tty20", makedev(4, 20)}};
    ck_assert(found(login.pid(), "tty20") == line);
    ck_assert(found(login.pid(), "ssh") == std::vector{pty.terminal});
    login.let_go();
    ck_assert(found(login.pid(), "tty20") == line);
    ck_assert(found(login.pid(), "/dev/tty20") == line);
    // What goes with its master, stands for another or is no line.
    for (const char* other :
         {"", "/dev/", "pts/1", "/dev/pts/1", "console", "tty", "ptmx", "null", "..", "ssh", ":0"})
        ck_assert_msg(found(login.pid(), other).empty(), "%s", other);
    const Process elsewhere{0, [] { return true; }};
    ck_assert(found(elsewhere.pid(), "tty20").empty());
}
END_TEST

/// In place of a file of procfs: a read of it fails.
constexpr const char* unreadable = "/proc/self/mem";

/// `path` cannot be read for as long as this lives, in this test's mount namespace.
class Broken {
public:
    Broken(const char* by, std::string path) : path_{std::move(path)} {
        ck_assert_int_eq(::mount(by, path_.c_str(), nullptr, MS_BIND, nullptr), 0);
    }
    ~Broken() { ::umount2(path_.c_str(), MNT_DETACH); }
    Broken(const Broken&) = delete;
    Broken& operator=(const Broken&) = delete;

private:
    const std::string path_;
};

void is_not_known_to_be_without(const enforce::LockTarget& target) {
    ck_assert(!enforce::find_terminals({.scope = target.scope, .leader = target.leader}));
    const auto report = hold(target);
    ck_assert_msg(!report.held && !report.no_terminal, "%s", report.detail.c_str());
}

START_TEST(a_shell_that_cannot_be_looked_at_may_have_one) {
    const Pty pty;
    const Login login{pty};
    {
        const Broken broken{unreadable, base::proc_path(login.child(), "stat")};
        is_not_known_to_be_without(target_of(login.pid()));
    }
    ck_assert(enforce::find_terminals({.scope = scope(), .leader = login.pid()}) ==
              std::vector{pty.terminal});
}
END_TEST

START_TEST(a_file_of_the_leader_that_cannot_be_looked_at_may_be_a_master) {
    const Process leader{0, [] { return true; }};
    move_to_scope(leader.pid());
    ck_assert_int_eq(::mount("tmpfs", "/mnt", "tmpfs", 0, nullptr), 0);
    ck_assert_int_eq(::symlink(unreadable, "/mnt/3"), 0);
    const Broken broken{"/mnt", base::proc_path(leader.pid(), "fdinfo")};
    is_not_known_to_be_without(target_of(leader.pid()));
}
END_TEST

START_TEST(what_of_one_session_cannot_be_looked_at_is_its_error_alone) {
    const Pty pty;
    const Process leader{0, [] { return true; }};
    move_to_scope(leader.pid());
    enforce::UserSearch one{scope(), leader.pid(), {pty.terminal}};
    enforce::UserSearch other{scope(), ::getpid(), {pty.terminal}};
    CHECK_OK(one.look({}));
    CHECK_OK(other.look({}));
    ck_assert_int_eq(::mount("tmpfs", "/mnt", "tmpfs", 0, nullptr), 0);
    ck_assert_int_eq(::symlink(unreadable, "/mnt/3"), 0);
    const Broken broken{"/mnt", base::proc_path(leader.pid(), "fdinfo")};
    const auto found = enforce::UserSearch::look_elsewhere({&one, &other});
    ck_assert(!found[0]);
    CHECK_OK(found[1]);
}
END_TEST

/// A sealed leader is in a folder below.
START_TEST(a_scope_whose_folders_cannot_be_listed_has_not_been_looked_through) {
    const std::string below = test::directory() + "/" + enforce::connection_child;
    ck_assert_int_eq(::mkdir(below.c_str(), 0755), 0);
    {
        const Process leader{0, [] { return true; }};
        CHECK_OK(base::write_cgroup_file(scope() + "/" + enforce::connection_child, "cgroup.procs",
                                         std::to_string(leader.pid())));
        ck_assert(base::processes_in(scope()) == std::vector{leader.pid()});
        ck_assert_int_eq(::chmod(test::directory().c_str(), 0711), 0);
        ck_assert_int_eq(::seteuid(owner), 0);
        const auto processes = base::processes_in(scope());
        const auto files = base::own_processes(scope());
        ck_assert_int_eq(::seteuid(0), 0);
        CHECK_OK(files);
        ck_assert(!processes);
        ck_assert_int_eq(processes.error().code, EACCES);
    }
    test::eventually([&] { return ::rmdir(below.c_str()) == 0; });
}
END_TEST

} // namespace

int main() {
    return test::run("no terminal",
                     {what_has_no_terminal_says_so_and_what_could_not_be_looked_at_does_not,
                      a_terminal_that_a_program_may_have_let_go_is_not_closed,
                      one_that_is_closed_where_all_stands_still_is,
                      what_is_asked_for_at_a_lock_console_a_session_has_for_as_long_as_its_leader,
                      the_line_that_it_began_at_a_session_has_whatever_its_programs_have,
                      a_shell_that_cannot_be_looked_at_may_have_one,
                      a_file_of_the_leader_that_cannot_be_looked_at_may_be_a_master,
                      what_of_one_session_cannot_be_looked_at_is_its_error_alone,
                      a_scope_whose_folders_cannot_be_listed_has_not_been_looked_through},
                     {.before = test::make_scope, .after = test::remove_scope, .seconds = 60});
}
