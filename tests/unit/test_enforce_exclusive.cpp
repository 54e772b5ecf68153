// Terminals that a program has to itself (TIOCEXCL), as vigild meets them: without CAP_SYS_ADMIN.

#include "daemon/enforce/terminal_file.hpp"
#include "tests/unit/pty.hpp"
#include "tests/unit/scope_help.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

using namespace vigil;
using test::Pty;
using test::scope;

namespace {

/// Drops CAP_SYS_ADMIN from what this process may, not from what remove_scope() needs.
void be_confined() {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[2]{};
    ck_assert_int_eq(::syscall(SYS_capget, &header, data), 0);
    data[0].effective &= ~(1U << CAP_SYS_ADMIN);
    ck_assert_int_eq(::syscall(SYS_capset, &header, data), 0);
}

void make_confined_scope() {
    test::make_scope();
    be_confined();
}

/// A terminal of which this process has the master alone, as sshd has it.
struct Lent : Pty {
    const int open_slave;

    Lent() : open_slave{slave.release()} {}
    /// Before it is looked for: what the children have they have from here.
    void close_own() const { ck_assert_int_eq(::close(open_slave), 0); }

    bool is_exclusive() const {
        int exclusive = -1;
        const auto fd = enforce::open_terminal(terminal.path, terminal.device);
        if (!fd)
            return fd.error().code == EBUSY;
        ck_assert_int_eq(::ioctl(fd->get(), TIOCGEXCL, &exclusive), 0);
        return exclusive != 0;
    }
};

void check(bool done) {
    if (!done)
        ::_exit(1);
}

void make_exclusive(int fd) {
    check(::ioctl(fd, TIOCEXCL) == 0);
}

struct stat node_of(const Pty& pty) {
    struct stat now{};
    ck_assert_int_eq(::stat(pty.terminal.path.c_str(), &now), 0);
    return now;
}

/// Taken, and given back, whatever was made of it meanwhile.
void check_taken_and_given_back(const Lent& pty, const std::function<void()>& meanwhile = [] {}) {
    const mode_t mode = node_of(pty).st_mode;
    const auto state = enforce::save({}, pty.terminal, scope());
    CHECK_OK(state);
    CHECK_OK(enforce::take(*state, scope()));
    ck_assert_uint_eq(node_of(pty).st_mode & 0777, 0600);
    meanwhile();
    CHECK_OK(enforce::retake(*state, scope()));
    CHECK_OK(enforce::give_back(*state, scope()));
    ck_assert_uint_eq(node_of(pty).st_mode, mode);
    const auto now = enforce::save({}, pty.terminal, scope());
    CHECK_OK(now);
    CHECK_TEXT(now->settings, state->settings);
}

START_TEST(who_has_it_open_in_the_session_lends_it) {
    const Lent pty;
    test::start_in_scope([&] { make_exclusive(pty.open_slave); });
    pty.close_own();
    CHECK_ERROR(enforce::save({}, pty.terminal, {}), EBUSY);
    check_taken_and_given_back(pty);
    ck_assert(!pty.is_exclusive());
}
END_TEST

START_TEST(nobody_in_the_session_has_it_open) {
    const Lent pty;
    const pid_t thief = test::start([&] { make_exclusive(pty.open_slave); });
    test::start_in_scope([&] { check(::close(pty.open_slave) == 0); });
    pty.close_own();
    CHECK_ERROR(enforce::save({}, pty.terminal, scope()), EBUSY);
    ::kill(thief, SIGKILL);
}
END_TEST

START_TEST(who_has_it_from_before_makes_it_his_own_under_the_lock) {
    const Lent pty;
    test::start_in_scope([] {});
    const auto again = [&] { ck_assert_int_eq(::ioctl(pty.open_slave, TIOCEXCL), 0); };
    check_taken_and_given_back(pty, again);
    pty.close_own();
}
END_TEST

/// Faster than anybody opens it.
[[noreturn]] void make_exclusive_for_ever(int fd) {
    while (true)
        make_exclusive(fd);
}

START_TEST(who_makes_it_his_own_again_and_again_keeps_it_from_nobody) {
    const Lent pty;
    test::start_in_scope([&] {
        if (::fork() == 0)
            make_exclusive_for_ever(pty.open_slave);
    });
    check_taken_and_given_back(pty);
    pty.close_own();
}
END_TEST

START_TEST(a_descriptor_that_cannot_be_asked_is_not_the_last) {
    const Lent pty;
    test::start_in_scope([&] {
        // Under the first numbers one that takes no ioctl, and the last leads there by another
        // name.
        check(::setsid() >= 0 && ::ioctl(pty.open_slave, TIOCSCTTY, 0) == 0);
        const int path = ::open(pty.terminal.path.c_str(), O_PATH);
        const int own = ::open("/dev/tty", O_RDWR);
        check(path >= 0 && own >= 0 && ::dup2(path, 0) == 0 && ::dup2(path, pty.open_slave) >= 0);
        make_exclusive(own);
    });
    pty.close_own();
    check_taken_and_given_back(pty);
}
END_TEST

START_TEST(a_heap_of_another_ones_files_takes_no_time_from_who_lends) {
    const Lent pty;
    for (int i = 0; i < 4; ++i)
        test::start_in_scope([&] {
            check(::close(pty.open_slave) == 0);
            for (int file = 0; file < 900; ++file)
                check(::fcntl(1, F_DUPFD, 0) >= 0);
        });
    test::start_in_scope([&] { make_exclusive(pty.open_slave); });
    pty.close_own();
    check_taken_and_given_back(pty);
}
END_TEST

START_TEST(only_what_was_lent_may_block) {
    const Pty pty;
    const auto own = enforce::open_terminal(pty.terminal.path, pty.terminal.device);
    CHECK_OK(own);
    ck_assert(!enforce::may_block(own->get()));
    ck_assert(enforce::may_block(pty.slave.get()));
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "exclusive",
        {who_has_it_open_in_the_session_lends_it, nobody_in_the_session_has_it_open,
         who_has_it_from_before_makes_it_his_own_under_the_lock,
         who_makes_it_his_own_again_and_again_keeps_it_from_nobody,
         a_descriptor_that_cannot_be_asked_is_not_the_last,
         a_heap_of_another_ones_files_takes_no_time_from_who_lends, only_what_was_lent_may_block},
        {.before = make_confined_scope, .after = test::remove_scope});
}
