// Terminals whose programs make whoever touches them wait.

#include "base/clock.hpp"
#include "daemon/enforce/aside.hpp"
#include "tests/unit/holding.hpp"
#include "tests/unit/stuck_file.hpp"

#include <sys/mman.h>

using namespace vigil;
using test::eventually;
using test::long_time;
using test::owner;
using test::Pty;
using test::stranger;
using test::StuckFile;

namespace {

constexpr std::size_t page = 4096;

struct Owned : Pty {
    explicit Owned(uid_t uid) { becomes(uid); }
    void becomes(uid_t uid) const { ck_assert_int_eq(::fchown(slave.get(), uid, gid_t(-1)), 0); }
};

/// It reads the terminal into memory that does not come, and so keeps hold of its settings.
class Reader {
public:
    Reader(const Pty& pty, const StuckFile& file) : pid_{::fork()} {
        ck_assert_int_ge(pid_, 0);
        if (pid_ == 0)
            read(pty.slave.get(), file.path());
        pty.type(std::string(200, 'x') + "\n");
        file.wait_for_reader();
    }
    ~Reader() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

private:
    [[noreturn]] static void read(int terminal, const std::string& path) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int fd = ::open(path.c_str(), O_RDWR);
        void* const memory = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ::_exit(memory == MAP_FAILED ? 1 : static_cast<int>(::read(terminal, memory, page)));
    }

    pid_t pid_;
};

} // namespace

START_TEST(what_is_done_aside_comes_back) {
    CHECK_TEXT(enforce::aside(1, "it", [] { return Result<std::string>{"done"}; }).value(), "done");
    const auto failed =
        enforce::aside(1, "it", []() -> Result<std::string> { return fail(EBUSY, "words"); });
    CHECK_ERROR(failed, EBUSY);
    CHECK_TEXT(failed.error().what, "words");
    const auto inside = enforce::aside(1, "it", [] {
        return enforce::aside(
            2, "that", [] { return Result<std::string>{enforce::is_aside() ? "aside" : "not"}; });
    });
    CHECK_TEXT(inside.value(), "aside");
    ck_assert(!enforce::is_aside());
    CHECK_ERROR(enforce::aside(1, "it", []() -> Result<std::string> { ::_exit(0); }), EIO);
}
END_TEST

START_TEST(it_keeps_nothing_of_its_parents_open) {
    int ends[2];
    ck_assert_int_eq(::pipe(ends), 0);
    const auto open = enforce::aside(1, "it", [&] {
        return Result<std::string>{::fcntl(ends[1], F_GETFD) < 0 ? "closed" : "open"};
    });
    CHECK_TEXT(open.value(), "closed");
}
END_TEST

START_TEST(who_hangs_is_waited_for_once_and_others_are_not) {
    const BootTime began = base::read_boot_time();
    const auto hangs = []() -> Result<std::string> {
        while (true)
            ::pause();
    };
    CHECK_ERROR(enforce::aside(owner, "it", hangs), ETIMEDOUT);
    for (int i = 0; i < 1000; ++i)
        CHECK_ERROR(enforce::aside(owner, "it", hangs), ETIMEDOUT);
    CHECK_OK(enforce::aside(stranger, "it", [] { return Result<std::string>{""}; }));
    ck_assert_int_lt((base::read_boot_time() - began).count(), long_time.count());
    eventually([] {
        return enforce::aside(owner, "it", [] { return Result<std::string>{""}; }).has_value();
    });
}
END_TEST

START_TEST(a_terminal_that_is_not_let_go_of_costs_its_user_alone) {
    const Owned stuck{owner};
    const Owned own{owner};
    const Owned other{stranger};
    StuckFile file{"/bin/sleep"};
    {
        struct stat info{};
        ck_assert_int_eq(::stat(file.path().c_str(), &info), 0); // its size is known then
        file.fall_silent();
        const Reader reader{stuck, file};
        const BootTime began = base::read_boot_time();
        const auto state = enforce::save({}, stuck.terminal, {});
        const auto own_state = enforce::save({}, own.terminal, {});
        const auto others = enforce::save({}, other.terminal, {});
        CHECK_OK(state);
        CHECK_OK(own_state);
        CHECK_OK(others);
        CHECK_ERROR(enforce::take(*state, {}), ETIMEDOUT);
        CHECK_ERROR(enforce::take(*own_state, {}), ETIMEDOUT);
        CHECK_ERROR(enforce::say(own.terminal, "words"), ETIMEDOUT);
        CHECK_ERROR(enforce::give_back(*own_state, {}), ETIMEDOUT);
        // Taken, and root's: it is still he who would be waited for.
        own.becomes(0);
        CHECK_ERROR(enforce::save({}, own.terminal, {}, owner), ETIMEDOUT);
        own.becomes(owner);
        CHECK_OK(enforce::take(*others, {}));
        CHECK_OK(enforce::give_back(*others, {}));
        ck_assert_int_lt((base::read_boot_time() - began).count(), long_time.count());
        file.let_go();
    }
    eventually([&] { return enforce::say(own.terminal, "words").has_value(); });
}
END_TEST

int main() {
    return test::run("aside",
                     {what_is_done_aside_comes_back, it_keeps_nothing_of_its_parents_open,
                      who_hangs_is_waited_for_once_and_others_are_not,
                      a_terminal_that_is_not_let_go_of_costs_its_user_alone},
                     {.seconds = 60});
}
