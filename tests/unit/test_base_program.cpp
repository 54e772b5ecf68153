#include "base/clock.hpp"
#include "base/program.hpp"
#include "tests/unit/test.hpp"

#include <cerrno>

using namespace vigil;
using namespace vigil::base;

namespace {

constexpr Seconds patience{30}; ///< never used up by what does answer
constexpr std::chrono::milliseconds impatience{200};

Result<std::string> said_by(const char* script, Microseconds waited = patience) {
    return output_of({"/bin/sh", "-c", script}, waited);
}

START_TEST(what_a_program_says_is_taken_whole) {
    const auto said = said_by("echo one; echo two >&2");
    CHECK_OK(said);
    CHECK_TEXT(*said, "one\ntwo\n");
    CHECK_TEXT(*output_of({"/bin/echo", "a b", "$HOME"}, patience), "a b $HOME\n");
}
END_TEST

START_TEST(it_has_nothing_to_read_and_an_environment_of_its_own) {
    ck_assert_int_eq(::setenv("VIGIL_TEST", "kept", 1), 0);
    const auto said = said_by("cat; echo \"<$VIGIL_TEST>\"");
    CHECK_OK(said);
    CHECK_TEXT(*said, "<>\n");
    CHECK_TEXT(*output_of({"/usr/bin/env"}, patience), "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n");
}
END_TEST

START_TEST(one_that_fails_is_believed_nothing) {
    CHECK_TEXT(said_by("echo good; echo bad >&2; exit 3").error().text(), "/bin/sh: good");
    CHECK_TEXT(said_by("exit 3").error().text(), "/bin/sh: exit status 3");
    CHECK_TEXT(said_by("kill -KILL $$").error().text(), "/bin/sh: killed by signal 9");
    CHECK_TEXT(said_by("head -c 1000 /dev/zero | tr '\\0' x; exit 1").error().text(),
               "/bin/sh: " + std::string(200, 'x'));
}
END_TEST

START_TEST(what_is_no_program_is_told) {
    CHECK_ERROR(output_of({"/nowhere/sshd"}, patience), ENOENT);
    CHECK_ERROR(output_of({"/etc/passwd"}, patience), EACCES);
}
END_TEST

START_TEST(nobody_is_waited_for_longer) {
    for (const char* script : {"exec sleep 1000", "echo here; exec sleep 1000",
                               "exec sleep 1000 >/dev/null 2>&1", "sleep 1000 & exit 0"}) {
        const auto before = read_boot_time();
        CHECK_TEXT(said_by(script, impatience).error().text(), "/bin/sh: it takes too long");
        ck_assert(read_boot_time() - before < Seconds{20});
    }
}
END_TEST

START_TEST(nobody_is_listened_to_for_ever) {
    CHECK_TEXT(said_by("exec yes").error().text(), "/bin/sh: it says more than 65536 bytes");
    CHECK_TEXT(output_of({"/bin/echo", "12345"}, patience, 5).error().text(),
               "/bin/echo: it says more than 5 bytes");
    CHECK_OK(output_of({"/bin/echo", "1234"}, patience, 5));
}
END_TEST

} // namespace

int main() {
    return test::run("program",
                     {what_a_program_says_is_taken_whole,
                      it_has_nothing_to_read_and_an_environment_of_its_own,
                      one_that_fails_is_believed_nothing, what_is_no_program_is_told,
                      nobody_is_waited_for_longer, nobody_is_listened_to_for_ever},
                     {.seconds = 60});
}
