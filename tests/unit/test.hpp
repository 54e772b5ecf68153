#pragma once
// What every unit test's main shares: Check (libcheck.github.io) runs each test in its own process.

#include <cstdlib>
#include <initializer_list>
#include <string>
#include <string_view>

#include <check.h>
#undef fail // Check's macro: <istream> and base/error.hpp have functions of this name

namespace vigil::test {

/// A test; or one for each number, as its _i, from the first up to `end`.
struct Case {
    const TTest* test;
    int first = 0;
    int end = 1;

    Case(const TTest* of) : test{of} {}
    Case(const TTest* of, int from, int until) : test{of}, first{from}, end{until} {}
};

/// What is done in a test's process before and after it, and how long it may take: 0 is Check's
/// own.
struct Around {
    SFun before = nullptr;
    SFun after = nullptr;
    double seconds = 0;
};

/// All that a main has to do: the tests of one file, in this order.
inline int run(const char* name, std::initializer_list<Case> cases, const Around& around = {}) {
    TCase* const tests = tcase_create(name);
    tcase_add_checked_fixture(tests, around.before, around.after);
    if (around.seconds > 0)
        tcase_set_timeout(tests, around.seconds);
    for (const Case& one : cases)
        tcase_add_loop_test(tests, one.test, one.first, one.end);
    Suite* const suite = suite_create(name);
    suite_add_tcase(suite, tests);
    SRunner* const runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

} // namespace vigil::test

/// Both sides shown if they differ; anything a std::string can be made of.
#define CHECK_TEXT(left, right)                                                                    \
    do {                                                                                           \
        const std::string left_text{left};                                                         \
        const std::string right_text{right};                                                       \
        ck_assert_msg(left_text == right_text, "\"%s\" is not \"%s\"", left_text.c_str(),          \
                      right_text.c_str());                                                         \
    } while (false)

/// A Result holds a value; otherwise its error is shown.
#define CHECK_OK(result)                                                                           \
    do {                                                                                           \
        const auto& result_seen = (result);                                                        \
        ck_assert_msg(result_seen.has_value(), "%s",                                               \
                      result_seen.has_value() ? "" : result_seen.error().text().c_str());          \
    } while (false)

/// A Result holds an error with this errno.
#define CHECK_ERROR(result, number)                                                                \
    do {                                                                                           \
        const auto& result_seen = (result);                                                        \
        ck_assert_msg(!result_seen.has_value(), "no error");                                       \
        ck_assert_msg(result_seen.error().code == (number), "%s",                                  \
                      result_seen.error().text().c_str());                                         \
    } while (false)
