// What a terminal sends, and what of it is an answer.

#include "terminal/keys.hpp"

#include <random>
#include <string>

#include <check.h>

using vigil::terminal::Keys;
using Event = Keys::Event;

namespace {

/// The answer that Enter gives after `bytes`, "<none>" if it gives none.
std::string answer_after(std::string_view bytes) {
    Keys keys;
    if (keys.feed(bytes) != Event::none)
        return "<early>";
    keys.settle();
    if (keys.feed("\r") != Event::submitted)
        return "<none>";
    return std::string{keys.take().view()};
}

void expect(std::string_view bytes, const char* answer) {
    const std::string got = answer_after(bytes);
    ck_assert_str_eq(got.c_str(), answer);
}

} // namespace

START_TEST(a_line_is_an_answer) {
    Keys keys;
    ck_assert(keys.feed("secret") == Event::none);
    ck_assert(keys.feed("\r") == Event::submitted);
    ck_assert(keys.take().view() == "secret");
    ck_assert(keys.take().empty());
    ck_assert(keys.feed("123456\n") == Event::submitted);
    ck_assert(keys.take().view() == "123456");
}
END_TEST

START_TEST(enter_alone_is_no_answer) {
    Keys keys;
    ck_assert(keys.feed("\r\n\r\r") == Event::none);
    ck_assert(keys.feed("x\r\r") == Event::submitted);
}
END_TEST

START_TEST(editing_erases_whole_characters) {
    expect("ab\x7F\x7F\x7F"
           "cd\x08"
           "e",
           "ce");
    expect("a\u00E9\u20AC\x7F\x7F"
           "b",
           "ab");
    expect("wrong\x15right", "right");
}
END_TEST

START_TEST(signals_characters_do_nothing) {
    expect(std::string_view{"\x03\x1C\x1A\x13\x11\x04\0\x1D\x0C\x16", 10}, "<none>");
    expect("a\x03"
           "b\x1C"
           "c\x1A"
           "d\x13"
           "e\x04"
           "f",
           "abcdef");
    expect(std::string_view{"a\0b", 3}, "ab");
}
END_TEST

START_TEST(escape_sequences_do_nothing) {
    expect("a\x1B[A\x1B[1;5C\x1BOP\x1B[15~\x1B[Z"
           "b",
           "ab");
    expect("a\x1B]0;title\x07"
           "b\x1B]11;rgb:0/0/0\x1B\\c\x1BP1$r0m\x1B\\d",
           "abcd");
    expect("a\x1Bx"
           "b",
           "ab"); // Alt-x
    expect("a\x1B\x1B[Ab", "ab");
}
END_TEST

START_TEST(a_consoles_function_keys_are_no_text) {
    expect("a\x1B[[B"
           "b\x1B[[E"
           "c\x1B[17~d",
           "abcd");
    Keys keys;
    ck_assert(keys.feed("\x1B[") == Event::none);
    ck_assert(keys.feed("[A") == Event::console_f1);
    // Over ssh it is another sequence, and nobody waits for it there.
    ck_assert(keys.feed("\x1BOP") == Event::none);
    ck_assert(keys.feed("\x1B[11~") == Event::none);
    ck_assert(keys.feed("\x1B[1[A") == Event::none);
}
END_TEST

START_TEST(mouse_reports_do_nothing) {
    expect("a\x1B[M !!b", "ab");
    expect("a\x1B[M\r\r\rb", "ab");
    expect("a\x1B[<0;12;7M\x1B[<0;12;7mb", "ab");
    expect("a\x1B[I\x1B[Ob", "ab"); // focus
}
END_TEST

START_TEST(a_lone_escape_swallows_nothing_after_a_pause) {
    Keys keys;
    keys.feed("\x1B");
    ck_assert(keys.patience().count() > 0);
    keys.settle();
    ck_assert(keys.patience().count() == 0);
    keys.feed("[ok");
    ck_assert(keys.feed("\r") == Event::submitted);
    ck_assert(keys.take().view() == "[ok");
}
END_TEST

START_TEST(a_bracketed_paste_does_nothing) {
    expect("a\x1B[200~rm -rf /\rmore\x1B[201\x1B[A\x1B[201~b", "ab");
    Keys keys;
    keys.feed("\x1B[200~text\r");
    ck_assert(keys.patience() >= vigil::Seconds{1});
    ck_assert(keys.feed("\rx\r") == Event::none);
}
END_TEST

START_TEST(several_lines_at_once_do_nothing) {
    Keys keys;
    ck_assert(keys.feed("one\rtwo\rthree") == Event::none);
    ck_assert(keys.feed("\rfour\r") == Event::none);
    ck_assert(keys.patience().count() > 0);
    keys.settle();
    ck_assert(keys.feed("mine\r") == Event::submitted);
    ck_assert(keys.take().view() == "mine");
}
END_TEST

START_TEST(a_line_over_the_bound_is_dropped_whole) {
    const std::string most(vigil::wire::max_answer_bytes, 'x');
    Keys keys;
    ck_assert(keys.feed(most + "\r") == Event::submitted);
    ck_assert(keys.take().view() == most);
    ck_assert(keys.feed(most + "y\r") == Event::too_long);
    ck_assert(keys.take().empty());
    ck_assert(keys.feed("next\r") == Event::submitted);
    ck_assert(keys.take().view() == "next");
    // Erasing in one does not lead to a shorter line nobody typed.
    keys.feed(most + "y\x7F");
    ck_assert(keys.feed("z\r") == Event::submitted);
    ck_assert(keys.take().view() == "z");
}
END_TEST

START_TEST(a_mebibyte_of_paste_does_nothing) {
    const std::string block(4096, 'p');
    Keys keys;
    for (int i = 0; i < 256; ++i)
        ck_assert(keys.feed(block) == Event::none);
    ck_assert(keys.feed("\r") == Event::too_long);
    ck_assert(keys.feed("x\r") == Event::submitted);
    ck_assert(keys.take().view() == "x");
}
END_TEST

START_TEST(whatever_comes_a_pause_and_a_line_are_an_answer) {
    std::mt19937 random{42};
    const std::string_view alphabet{"\x1B[]OMP<0;201~\r\n\x7F\x15\x03\\\x07xy\xC3\xA9\0", 24};
    for (int round = 0; round < 20'000; ++round) {
        Keys keys;
        const auto length = random() % 40;
        for (auto i = length; i > 0; --i) {
            keys.feed(alphabet.substr(random() % alphabet.size(), 1));
            ck_assert(keys.take().view().size() <= vigil::wire::max_answer_bytes);
        }
        keys.settle();
        keys.feed("\x15");
        ck_assert(keys.feed("good\r") == Event::submitted);
        ck_assert(keys.take().view() == "good");
    }
}
END_TEST

int main() {
    Suite* const suite = suite_create("keys");
    TCase* const tests = tcase_create("keys");
    tcase_add_test(tests, a_line_is_an_answer);
    tcase_add_test(tests, enter_alone_is_no_answer);
    tcase_add_test(tests, editing_erases_whole_characters);
    tcase_add_test(tests, signals_characters_do_nothing);
    tcase_add_test(tests, escape_sequences_do_nothing);
    tcase_add_test(tests, a_consoles_function_keys_are_no_text);
    tcase_add_test(tests, mouse_reports_do_nothing);
    tcase_add_test(tests, a_lone_escape_swallows_nothing_after_a_pause);
    tcase_add_test(tests, a_bracketed_paste_does_nothing);
    tcase_add_test(tests, several_lines_at_once_do_nothing);
    tcase_add_test(tests, a_line_over_the_bound_is_dropped_whole);
    tcase_add_test(tests, a_mebibyte_of_paste_does_nothing);
    tcase_add_test(tests, whatever_comes_a_pause_and_a_line_are_an_answer);
    suite_add_tcase(suite, tests);
    SRunner* const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
