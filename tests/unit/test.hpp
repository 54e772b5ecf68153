#pragma once
// What every unit test's main shares: Check (libcheck.github.io) runs each test in its own process.

#include <cstdlib>
#include <string>
#include <string_view>

#include <check.h>
#undef fail // Check's macro: <istream> and base/error.hpp have functions of this name

namespace vigil::test {

inline int run(Suite* suite) {
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
