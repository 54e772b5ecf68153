// Descriptors and programs of users that make whoever touches them wait.

#include "base/clock.hpp"
#include "daemon/enforce/connection.hpp"
#include "daemon/enforce/fetcher.hpp"
#include "daemon/enforce/terminal_file.hpp"
#include "tests/unit/holding.hpp"
#include "tests/unit/stuck_file.hpp"

#include <thread>

using namespace vigil;
using enforce::Fetcher;
using test::eventually;
using test::long_time;
using test::owner;
using test::Process;
using test::Pty;
using test::stranger;
using test::StuckFile;

namespace {

constexpr int number = 100;

/// It has this open under `number`.
std::unique_ptr<Process> holder_of(uid_t uid, const std::string& path) {
    return std::make_unique<Process>(uid, [&] {
        const int fd = ::open(path.c_str(), O_RDWR | O_NOCTTY);
        return fd >= 0 && ::dup2(fd, number) == number;
    });
}

/// A process that runs a program of its own.
class Running {
public:
    explicit Running(const std::string& program) : pid_{::fork()} {
        ck_assert_int_ge(pid_, 0);
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::execl(program.c_str(), "sleep", "1000", nullptr);
            ::_exit(1);
        }
        eventually([&] {
            const auto stat = base::read_process_stat(pid_);
            return stat && stat->command == std::filesystem::path{program}.filename() &&
                   stat->state == 'S';
        });
    }
    ~Running() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

    pid_t pid() const noexcept { return pid_; }

private:
    pid_t pid_;
};

} // namespace

START_TEST(a_terminal_is_fetched) {
    const Pty pty;
    const auto process = holder_of(owner, pty.terminal.path);
    Fetcher fetcher;
    for (int i = 0; i < 3; ++i) {
        const auto fetched = fetcher.fetch(process->pid(), number);
        CHECK_OK(fetched);
        ck_assert_uint_eq(fetched->device, pty.terminal.device);
        unsigned device = 0;
        ck_assert_int_eq(::ioctl(fetched->fd.get(), TIOCGDEV, &device), 0);
        ck_assert_uint_eq(device, pty.terminal.device);
    }
}
END_TEST

START_TEST(what_is_opened_as_the_controlling_terminal_says_which) {
    const Pty pty;
    const Process process{owner, [&] {
                              return ::ioctl(pty.slave.get(), TIOCSCTTY, 0) == 0 &&
                                     ::dup2(::open("/dev/tty", O_RDONLY), number) == number;
                          }};
    Fetcher fetcher;
    const auto fetched = fetcher.fetch(process.pid(), number);
    CHECK_OK(fetched);
    ck_assert_uint_eq(fetched->device, pty.terminal.device);
}
END_TEST

START_TEST(what_is_no_terminal_is_not) {
    const auto process = holder_of(owner, "/dev/null");
    Fetcher fetcher;
    CHECK_ERROR(fetcher.fetch(process->pid(), number), EBADF);
    CHECK_ERROR(fetcher.fetch(process->pid(), number + 1), EBADF);
    const pid_t gone = ::fork();
    if (gone == 0)
        ::_exit(0);
    ::waitpid(gone, nullptr, 0);
    CHECK_ERROR(fetcher.fetch(gone, 0), ESRCH);
}
END_TEST

START_TEST(a_file_that_is_not_let_go_of_costs_its_user_alone) {
    const Pty pty;
    StuckFile file;
    const auto hangs = holder_of(owner, file.path());
    const auto own = holder_of(owner, pty.terminal.path);
    const auto other = holder_of(stranger, pty.terminal.path);
    const BootTime began = base::read_boot_time();
    Fetcher fetcher;
    CHECK_ERROR(fetcher.fetch(hangs->pid(), number), ETIMEDOUT);
    for (int i = 0; i < 1000; ++i) {
        CHECK_ERROR(fetcher.fetch(own->pid(), number), ETIMEDOUT);
        CHECK_ERROR(Fetcher{}.fetch(own->pid(), number), ETIMEDOUT);
    }
    CHECK_OK(fetcher.fetch(other->pid(), number));
    ck_assert_int_lt((base::read_boot_time() - began).count(), long_time.count());

    file.let_go();
    eventually([&] { return Fetcher{}.fetch(own->pid(), number).has_value(); });
    // What hung in a look is not tried again in it.
    CHECK_ERROR(fetcher.fetch(own->pid(), number), ETIMEDOUT);
}
END_TEST

pid_t helper_beside(pid_t process) {
    const auto children =
        base::read_small_file("/proc/self/task/" + std::to_string(::getpid()) + "/children");
    CHECK_OK(children);
    const pid_t helper = std::stoi(children->substr(children->find(' ') + 1));
    ck_assert_int_ne(helper, process);
    return helper;
}

/// It may have died before it was asked, so that another was, or behind the question.
START_TEST(a_helper_that_was_killed_costs_one_answer_at_most) {
    const Pty pty;
    const auto process = holder_of(owner, pty.terminal.path);
    std::signal(SIGCHLD, SIG_IGN); // as vigild has it
    Fetcher fetcher;
    for (int i = 0; i < 20; ++i) {
        CHECK_OK(fetcher.fetch(process->pid(), number));
        ck_assert_int_eq(::kill(helper_beside(process->pid()), SIGKILL), 0);
        if (const auto fetched = fetcher.fetch(process->pid(), number); !fetched)
            CHECK_ERROR(fetched, EIO);
    }
    std::signal(SIGCHLD, SIG_DFL);
}
END_TEST

bool sleeps(pid_t thread) {
    const auto stat = base::read_process_stat(thread);
    return stat && stat->state == 'S';
}

/// The only thing that this thread sleeps for is the answer of a helper that stands still.
START_TEST(a_helper_that_dies_behind_the_question_is_an_error) {
    const Pty pty;
    const auto process = holder_of(owner, pty.terminal.path);
    std::signal(SIGCHLD, SIG_IGN); // as vigild has it
    Fetcher fetcher;
    CHECK_OK(fetcher.fetch(process->pid(), number));
    const pid_t helper = helper_beside(process->pid());
    ck_assert_int_eq(::kill(helper, SIGSTOP), 0);
    {
        const std::jthread killer{[helper, asker = ::getpid()] {
            while (!sleeps(asker))
                ::usleep(100);
            ::kill(helper, SIGKILL);
        }};
        CHECK_ERROR(fetcher.fetch(process->pid(), number), EIO);
    }
    CHECK_OK(fetcher.fetch(process->pid(), number));
    std::signal(SIGCHLD, SIG_DFL);
}
END_TEST

START_TEST(a_helper_ends_with_its_look) {
    const Pty pty;
    const auto process = holder_of(owner, pty.terminal.path);
    std::signal(SIGCHLD, SIG_IGN); // as vigild has it
    for (int i = 0; i < 100; ++i)
        CHECK_OK(Fetcher{}.fetch(process->pid(), number));
    eventually([&] {
        const auto children =
            base::read_small_file("/proc/self/task/" + std::to_string(::getpid()) + "/children");
        return children && *children == std::to_string(process->pid()) + " ";
    });
    std::signal(SIGCHLD, SIG_DFL);
}
END_TEST

START_TEST(a_program_is_not_asked_for_what_it_is) {
    const test::Folder folder;
    const std::string sshd = folder / "sshd";
    std::filesystem::copy_file("/bin/sleep", sshd);
    StuckFile file{"/bin/sleep"};
    {
        const Running leader{sshd};
        const Running left{sshd};
        const Running users{file.path()};
        ck_assert(enforce::is_sshd(leader.pid()));
        file.fall_silent();
        ck_assert(!enforce::left_by_sshd({leader.pid()}, {users.pid()}, leader.pid()));
        ck_assert(enforce::left_by_sshd({leader.pid()}, {users.pid(), left.pid()}, leader.pid()));
        file.let_go();
    }
}
END_TEST

int main() {
    return test::run("fetcher",
                     {a_terminal_is_fetched, what_is_opened_as_the_controlling_terminal_says_which,
                      what_is_no_terminal_is_not, a_file_that_is_not_let_go_of_costs_its_user_alone,
                      a_helper_that_was_killed_costs_one_answer_at_most,
                      a_helper_that_dies_behind_the_question_is_an_error,
                      a_helper_ends_with_its_look, a_program_is_not_asked_for_what_it_is},
                     {.seconds = 60});
}
