// Locks that are made again, because the helper that took the terminal ended halfway.

#include "base/cgroup.hpp"
#include "base/pty.hpp"
#include "daemon/enforce/lock.hpp"
#include "daemon/enforce/scope.hpp"
#include "tests/unit/holding.hpp"

#include <filesystem>
#include <thread>

#include <sys/syscall.h>

using namespace vigil;
using test::move_to_scope;
using test::own_and_close;
using test::owner;
using test::Process;
using test::Pty;
using test::scope;

namespace {

constexpr mode_t login_mode = 0620;

void release(const enforce::LockTarget& target, const std::vector<core::SavedTerminal>& saved) {
    sd_event* raw = nullptr;
    ck_assert_int_ge(sd_event_new(&raw), 0);
    const base::EventLoop loop{raw};
    enforce::Redraw redraw{loop.get()};
    CHECK_OK(enforce::release(target, saved, redraw));
}

/// Someone's session with a program at its terminal.
class Session {
public:
    Session() {
        ck_assert_int_eq(::fchown(pty.slave.get(), owner, gid_t(-1)), 0);
        ck_assert_int_eq(::fchmod(pty.slave.get(), login_mode), 0);
        before = pty.settings();
        move_to_scope(leader_.pid());
        move_to_scope(job_.pid());
    }

    enforce::LockReport hold() {
        auto reports = enforce::hold({{.target = target_,
                                       .saved = saved_,
                                       .save =
                                           [this](const core::SavedTerminal& terminal) {
                                               saved_ = {terminal};
                                               return Result<>{};
                                           },
                                       .taken = [](const auto&) {}}});
        ck_assert_uint_eq(reports.size(), 1);
        return std::move(reports.front());
    }

    void release() { ::release(target_, saved_); }

    void check_node(uid_t uid, mode_t mode) const {
        ck_assert_uint_eq(pty.node().st_uid, uid);
        ck_assert_uint_eq(pty.node().st_mode & 0777, mode);
    }

    void set_node(uid_t uid, mode_t mode) const {
        ck_assert_int_eq(::fchown(pty.slave.get(), uid, gid_t(-1)), 0);
        ck_assert_int_eq(::fchmod(pty.slave.get(), mode), 0);
    }

    void set(const termios& settings) const {
        ck_assert_int_eq(::tcsetattr(pty.slave.get(), TCSANOW, &settings), 0);
    }

    const Pty pty;
    termios before{};

private:
    const Process leader_{0, [this] { return ::close(pty.slave.get()) == 0; }};
    const Process job_{0, [this] { return own_and_close(pty); }};
    const enforce::LockTarget target_{
        .session = {}, .owner = owner, .scope = scope(), .leader = leader_.pid()};
    std::vector<core::SavedTerminal> saved_;
};

/// A lock whose first attempt got as far as this with the terminal takes all of it at its second.
void is_taken_wholly_after(uid_t uid, mode_t mode) {
    Session session;
    ck_assert(session.hold().held);
    session.set_node(uid, mode);
    session.set(session.before);
    const auto report = session.hold();
    ck_assert_msg(report.held, "%s", report.detail.c_str());
    session.check_node(0, 0600);
    ck_assert_uint_eq(session.pty.settings().c_lflag & (ISIG | ICANON | ECHO), 0);
    session.release();
    session.check_node(owner, login_mode);
    ck_assert_uint_eq(session.pty.settings().c_lflag, session.before.c_lflag);
}

} // namespace

START_TEST(a_terminal_that_was_not_taken_is_taken_by_the_next_attempt) {
    is_taken_wholly_after(owner, login_mode);
}
END_TEST

START_TEST(a_terminal_whose_owner_alone_was_changed_is_taken_and_given_back_to_its_user) {
    is_taken_wholly_after(0, login_mode);
}
END_TEST

START_TEST(a_terminal_whose_settings_were_not_set_is_taken_by_the_next_attempt) {
    is_taken_wholly_after(0, 0600);
}
END_TEST

START_TEST(a_terminal_whose_owner_alone_was_changed_is_given_back) {
    Session session;
    ck_assert(session.hold().held);
    session.set_node(0, login_mode);
    session.release();
    session.check_node(owner, login_mode);
}
END_TEST

START_TEST(a_terminal_that_was_given_back_but_for_its_mode_has_it_again) {
    Session session;
    ck_assert(session.hold().held);
    session.set_node(owner, 0600);
    session.set(session.before);
    session.release();
    session.check_node(owner, login_mode);
}
END_TEST

namespace {

bool begin_second_thread() {
    std::thread{[] {
        while (true)
            ::pause();
    }}.detach();
    return true;
}

/// A job at the terminal whose first thread has ended; its second runs on.
class Headless {
public:
    explicit Headless(const Pty& pty, bool in_scope) {
        ck_assert_int_eq(::pipe2(ends_, O_CLOEXEC), 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::setsid();
            // 1: it is another session's already (ioctl_tty(2))
            if (::ioctl(pty.slave.get(), TIOCSCTTY, 1) < 0 || !test::close_both(pty) ||
                !begin_second_thread() || ::write(ends_[1], "x", 1) != 1)
                ::_exit(1);
            ::syscall(SYS_exit, 0);
        }
        char word = 0;
        ck_assert_int_eq(::read(ends_[0], &word, 1), 1);
        test::eventually([&] { return stat().state == 'Z'; });
        if (in_scope)
            move_to_scope(pid_);
    }
    ~Headless() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    base::ProcessStat stat() const { return base::read_process_stat(pid_).value(); }
    bool is_held() const {
        return base::running_cgroup_of(pid_) == scope() + "/" + enforce::frozen_child;
    }

private:
    int ends_[2];
    pid_t pid_ = -1;
};

} // namespace

START_TEST(a_job_whose_first_thread_has_ended_is_held_and_comes_back) {
    for (const bool in_scope : {true, false}) {
        Session session;
        const Headless job{session.pty, in_scope};
        ck_assert(!base::has_ended(job.stat()));
        const auto report = session.hold();
        ck_assert_msg(report.held, "%s", report.detail.c_str());
        ck_assert(job.is_held());
        ck_assert_msg(session.hold().held, "and held again");
        session.release();
        ck_assert(!job.is_held());
        ck_assert(!enforce::is_frozen(scope()));
        ck_assert(!std::filesystem::exists(test::directory() + "/" + enforce::frozen_child));
    }
}
END_TEST

namespace {

/// As sshd, which has a terminal and opens another one when it is told to.
class Opener {
public:
    /// Waits until it has opened it, and for a program there.
    void open() {
        ck_assert_int_eq(::write(go_[1], "x", 1), 1);
        ck_assert_int_eq(::read(done_[0], &device_, sizeof device_), sizeof device_);
        job_ = std::make_unique<Process>(0, [this] {
            const int fd = ::open(("/dev/pts/" + std::to_string(device_)).c_str(), O_RDWR);
            return fd >= 0 && ::ioctl(fd, TIOCSCTTY, 0) == 0;
        });
        move_to_scope(job_->pid());
    }

    pid_t pid() const noexcept { return leader_.pid(); }
    const Process* job() const noexcept { return job_.get(); }

private:
    struct Ends {
        Ends() { ck_assert_int_eq(::pipe(ends), 0); }
        int operator[](int end) const noexcept { return ends[end]; }
        int ends[2];
    };

    bool wait() {
        std::thread{[this] {
            char word = 0;
            if (::read(go_[0], &word, 1) != 1)
                return;
            const Pty late;
            const unsigned index = base::pty_index(late.terminal.device).value_or(0);
            if (::write(done_[1], &index, sizeof index) == sizeof index)
                ::pause();
        }}.detach();
        return ::close(pty_.slave.get()) == 0;
    }

    const Ends go_;
    const Ends done_;
    const Pty pty_;
    unsigned device_ = 0;
    const Process leader_{0, [this] { return wait(); }};
    std::unique_ptr<Process> job_;
};

} // namespace

START_TEST(what_runs_at_a_terminal_that_is_opened_while_the_lock_is_made_is_held_too) {
    Opener opener;
    move_to_scope(opener.pid());
    const enforce::LockTarget target{
        .session = {}, .owner = 0, .scope = scope(), .leader = opener.pid()};
    const auto reports =
        enforce::hold({{.target = target,
                        .saved = {},
                        .save = [](const core::SavedTerminal&) { return Result<>{}; },
                        .taken =
                            [&](const auto&) {
                                if (opener.job() == nullptr)
                                    opener.open();
                            }}});
    ck_assert_msg(reports.front().held, "%s", reports.front().detail.c_str());
    ck_assert_uint_eq(reports.front().terminals.size(), 2);
    ck_assert(base::is_in_cgroup(opener.job()->pid(), scope() + "/" + enforce::frozen_child));
    release(target, reports.front().terminals);
}
END_TEST

int main() {
    return test::run("lock",
                     {what_runs_at_a_terminal_that_is_opened_while_the_lock_is_made_is_held_too,
                      a_terminal_that_was_not_taken_is_taken_by_the_next_attempt,
                      a_terminal_whose_owner_alone_was_changed_is_taken_and_given_back_to_its_user,
                      a_terminal_whose_settings_were_not_set_is_taken_by_the_next_attempt,
                      a_terminal_whose_owner_alone_was_changed_is_given_back,
                      a_terminal_that_was_given_back_but_for_its_mode_has_it_again,
                      a_job_whose_first_thread_has_ended_is_held_and_comes_back},
                     {.before = test::make_scope, .after = test::remove_scope, .seconds = 60});
}
