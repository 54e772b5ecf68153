// What the processes of a scope have read and written, told by a helper that may hang.

#include "base/clock.hpp"
#include "daemon/enforce/moved.hpp"
#include "daemon/enforce/time_budget.hpp"
#include "tests/unit/scope_help.hpp"
#include "tests/unit/stuck_file.hpp"

#include <algorithm>

#include <poll.h>

using namespace vigil;
using enforce::MovedReader;
using test::scope;
using test::start_in_scope;

namespace {

constexpr uid_t owner = 1000;
constexpr uid_t stranger = 1001;

using Read = Result<std::vector<core::ProcessBytes>>;

void write_away(std::size_t bytes) {
    const base::UniqueFd nowhere{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
    const std::string text(bytes, 'x');
    ck_assert_int_eq(::write(nowhere.get(), text.data(), bytes), static_cast<ssize_t>(bytes));
}

core::ProcessBytes of(MovedReader& reader, pid_t pid) {
    const auto all = reader.read(owner, scope(), ::getpid());
    CHECK_OK(all);
    const auto found =
        std::ranges::find(*all, pid, [](const core::ProcessBytes& one) { return one.process.pid; });
    ck_assert(found != all->end());
    return *found;
}

START_TEST(what_is_read_and_written_counts_with_that_of_those_who_were_waited_for) {
    test::make_scope();
    const pid_t idle = start_in_scope([] {});
    const pid_t worked = start_in_scope([] {
        write_away(7000);
        const pid_t child = ::fork();
        if (child == 0) {
            write_away(40'000);
            ::_exit(0);
        }
        ::waitpid(child, nullptr, 0);
    });
    MovedReader reader;
    const auto before = of(reader, idle);
    ck_assert_int_eq(before.parent, ::getpid());
    ck_assert_uint_eq(before.process.start_time, base::read_process_stat(idle)->start_time);
    ck_assert_uint_ge(of(reader, worked).bytes, 47'000);
    ck_assert_uint_lt(of(reader, worked).bytes, 48'000);
    ck_assert(of(reader, idle) == before);
    const auto all = reader.read(owner, scope(), ::getpid());
    ck_assert(std::ranges::is_sorted(
        *all, {}, [](const core::ProcessBytes& one) { return one.process.pid; }));
    test::remove_scope();
    CHECK_ERROR(reader.read(owner, scope(), ::getpid()), ENOENT);
}
END_TEST

START_TEST(more_processes_than_are_looked_through_are_an_error) {
    test::make_scope();
    MovedReader reader;
    for (std::size_t i = 0; i < enforce::max_moving; ++i)
        start_in_scope([] {});
    CHECK_OK(reader.read(owner, scope(), ::getpid()));
    start_in_scope([] {});
    CHECK_ERROR(reader.read(owner, scope(), ::getpid()), E2BIG);
    test::remove_scope();
}
END_TEST

/// Until it hangs for whoever reads the scope.
void stick_in_execve(const test::StuckFile& file) {
    if (::fork() == 0) {
        ck_assert_int_ge(::open(file.path().c_str(), O_RDWR | O_CLOEXEC), 0);
        test::move_to_scope(::getpid());
        ::execl("/bin/sleep", "sleep", "1000", nullptr);
        ::_exit(1);
    }
    Read read;
    const BootTime patience = base::read_boot_time() + std::chrono::seconds{30};
    do {
        ck_assert(base::read_boot_time() < patience);
        read = MovedReader{}.read(owner, scope(), ::getpid());
    } while (read);
    CHECK_ERROR(read, ETIMEDOUT);
}

/// What comes once there is time again.
Read read_in_time(MovedReader& reader, uid_t user, const std::string& name) {
    Read read;
    const BootTime patience = base::read_boot_time() + std::chrono::seconds{30};
    do {
        ck_assert(base::read_boot_time() < patience);
        read = reader.read(user, name, ::getpid());
    } while (!read && read.error().code == EBUSY);
    return read;
}

START_TEST(an_execve_that_stands_still_costs_its_user_alone) {
    test::make_scope();
    {
        start_in_scope([] {});
        const test::StuckFile file;
        stick_in_execve(file);
        MovedReader reader;
        CHECK_ERROR(reader.read(owner, scope(), ::getpid()), ETIMEDOUT);
        const BootTime began = base::read_boot_time();
        for (int i = 0; i < 1000; ++i)
            CHECK_ERROR(reader.read(owner, scope(), ::getpid()), ETIMEDOUT);
        ck_assert(base::read_boot_time() - began < 20 * enforce::moved_patience);
        CHECK_ERROR(read_in_time(reader, stranger, "/vigil-no-such.scope"), ENOENT);
    }
    test::remove_scope();
}
END_TEST

START_TEST(of_many_users_whose_execve_stands_still_one_is_waited_for) {
    test::make_scope();
    {
        const test::StuckFile file;
        stick_in_execve(file);
        MovedReader reader;
        const BootTime began = base::read_boot_time();
        CHECK_ERROR(reader.read(owner, scope(), ::getpid()), ETIMEDOUT);
        for (uid_t other = stranger; other < stranger + 30; ++other)
            ck_assert(!reader.read(other, scope(), ::getpid()));
        const auto waited = base::read_boot_time() - began;
        ck_assert(waited >= enforce::moved_patience);
        ck_assert(waited < 6 * enforce::moved_patience); // a machine that is busy
        // The others are waited for later, each as long as there is time then.
        CHECK_ERROR(read_in_time(reader, stranger + 29, scope()), ETIMEDOUT);
    }
    test::remove_scope();
}
END_TEST

START_TEST(what_is_merely_noted_leaves_time_for_what_decides) {
    test::make_scope();
    const pid_t idle = start_in_scope([] {});
    MovedReader reader;
    const BootTime patience = base::read_boot_time() + std::chrono::seconds{30};
    Read noted;
    while ((noted = reader.read(owner, scope(), ::getpid(), enforce::moved_kept)))
        ck_assert(base::read_boot_time() < patience);
    CHECK_ERROR(noted, EBUSY);
    of(reader, idle);
    test::remove_scope();
}
END_TEST

START_TEST(time_that_was_spent_comes_back_a_part_at_a_time) {
    const auto after = [](int milliseconds) {
        return BootTime{std::chrono::hours{1} + std::chrono::milliseconds{milliseconds}};
    };
    using std::chrono::milliseconds;
    enforce::TimeBudget budget{milliseconds{1000}, 5};
    ck_assert(budget.left(after(0)) == milliseconds{1000});
    budget.spend(after(0), after(400));
    ck_assert(budget.left(after(400)) == milliseconds{600});
    ck_assert(budget.left(after(900)) == milliseconds{700});
    ck_assert(budget.left(after(9000)) == milliseconds{1000});
    budget.spend(after(9000), after(99'000)); // of a machine that was put to sleep
    ck_assert(budget.left(after(99'000)) == milliseconds{0});
    ck_assert(budget.left(after(100'000)) == milliseconds{200});
}
END_TEST

START_TEST(a_helper_that_ended_is_followed_by_another) {
    test::make_scope();
    const pid_t idle = start_in_scope([] {});
    MovedReader reader;
    const auto helper = [&] {
        const auto children =
            base::read_small_file("/proc/self/task/" + std::to_string(::getpid()) + "/children");
        CHECK_OK(children);
        return static_cast<pid_t>(std::stoi(children->substr(children->find(' ') + 1)));
    };
    of(reader, idle);
    const pid_t first = helper();
    ck_assert_int_ne(first, idle);
    of(reader, idle);
    ck_assert_int_eq(helper(), first);
    // By itself, when nothing is asked.
    ck_assert_int_eq(::waitpid(first, nullptr, 0), first);
    of(reader, idle);
    const pid_t second = helper();
    ::kill(second, SIGKILL);
    of(reader, idle);
    ::kill(helper(), SIGKILL); // it would be waited for
    test::remove_scope();
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("enforce: moved",
                            {what_is_read_and_written_counts_with_that_of_those_who_were_waited_for,
                             more_processes_than_are_looked_through_are_an_error,
                             an_execve_that_stands_still_costs_its_user_alone,
                             of_many_users_whose_execve_stands_still_one_is_waited_for,
                             what_is_merely_noted_leaves_time_for_what_decides,
                             time_that_was_spent_comes_back_a_part_at_a_time,
                             a_helper_that_ended_is_followed_by_another},
                            {.seconds = 60});
}
