// When a session that is to be held has no terminal, and when that is only not known.

#include "base/cgroup.hpp"
#include "daemon/enforce/lock.hpp"
#include "daemon/enforce/scope.hpp"
#include "tests/unit/holding.hpp"

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
    // The folder can be read then, but no file in it.
    const base::UniqueFd next{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    for (rlim_t more = 0; more < 3; ++more) {
        const rlimit few{static_cast<rlim_t>(next.get()) + more, before.rlim_max};
        ck_assert_int_eq(::setrlimit(RLIMIT_NOFILE, &few), 0);
        report = hold(target);
        ck_assert_int_eq(::setrlimit(RLIMIT_NOFILE, &before), 0);
        ck_assert_msg(!report.held && (!report.no_terminal || more > 1), "%lu: %s", more,
                      report.detail.c_str());
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
        return enforce::find_terminals(scope(), leader, {console}).value();
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

} // namespace

int main() {
    return test::run("no terminal",
                     {what_has_no_terminal_says_so_and_what_could_not_be_looked_at_does_not,
                      a_terminal_that_a_program_may_have_let_go_is_not_closed,
                      one_that_is_closed_where_all_stands_still_is,
                      what_is_asked_for_at_a_lock_console_a_session_has_for_as_long_as_its_leader},
                     {.before = test::make_scope, .after = test::remove_scope, .seconds = 60});
}
