// A terminal's answer is found in whatever it comes with.

#include "terminal/screen_answer.hpp"
#include "tests/unit/test.hpp"

#include <string>
#include <vector>

#include <check.h>

using vigil::terminal::ScreenAnswer;
using Shows = vigil::wire::Screen;
using vigil::wire::Cursor;

namespace {

bool finds(std::string_view bytes, Shows expected) {
    // At once, and byte by byte.
    ScreenAnswer whole;
    ScreenAnswer pieces;
    bool found = false;
    for (const char byte : bytes)
        found = pieces.feed({&byte, 1}) || found;
    return whole.feed(bytes) && found && whole.shows() == expected && pieces.shows() == expected;
}

} // namespace

START_TEST(an_answer_is_read) {
    ck_assert(finds("\x1B[?1049;1$y", Shows::alternate));
    ck_assert(finds("\x1B[?1049;2$y", Shows::main));
    ck_assert(finds("\x1B[?1049;0$y", Shows::unknown));
    ck_assert(finds("\x1B[?1049;4$y", Shows::unknown));
}
END_TEST

START_TEST(it_is_found_among_keys) {
    ck_assert(finds("typed ahead\r\x1B[?1049;1$ymore", Shows::alternate));
    ck_assert(finds("\x1B[A\x1B\x1B[?1049;2$y", Shows::main));
    ck_assert(finds("\x1B[?10\x1B[?1049;1$y", Shows::alternate));
    ck_assert(finds("\x1B[200~paste\x1B[?1049;1$y\x1B[201~", Shows::alternate));
    // What came last counts.
    ck_assert(finds("\x1B[?1049;1$y\x1B[?1049;2$y", Shows::main));
}
END_TEST

START_TEST(a_hidden_cursor_is_told_of_and_is_not_the_last_answer) {
    const auto cursor_after = [](std::string_view bytes) {
        ScreenAnswer answer;
        ck_assert(!answer.feed(bytes));
        ck_assert(answer.shows() == Shows::unknown);
        return answer.cursor();
    };
    ck_assert(cursor_after("\x1B[?25;2$y") == Cursor::hidden);
    for (const char* shown : {"", "\x1B[?25;1$y", "\x1B[?25;0$y", "\x1B[?25;4$y", "\x1B[?25;2$",
                              "\x1B[?25;22$y", "\x1B[?2;2$y", "\x1B[?25;2$y\x1B[?25;1$y"})
        ck_assert_msg(cursor_after(shown) == Cursor::shown, "%s", shown);
    ck_assert(cursor_after("typed\x1B[?2\x9B?25;2$ymore") == Cursor::hidden);

    ScreenAnswer both;
    ck_assert(!both.feed("\x1B[?25;2$y\x1B[?10"));
    ck_assert(both.is_under_way());
    ck_assert(both.feed("49;1$y"));
    ck_assert(both.cursor() == Cursor::hidden && both.shows() == Shows::alternate);
    ck_assert(!both.has_begun());
}
END_TEST

START_TEST(it_may_begin_with_a_control_of_8_bits) {
    ck_assert(finds("\x9B?1049;1$y", Shows::alternate));
    ck_assert(finds("\u009B?1049;2$y", Shows::main));
    ck_assert(finds("typed\x1B\x9B?1049;1$y", Shows::alternate));
    ck_assert(finds("\u00E9\xC2\u009B?1049;1$y", Shows::alternate));
    // A letter that has this byte is a letter.
    for (const char* other :
         {"\u00DB?1049;1$y", "\u2713\u00DB?1049;1$y", "\U0001F61B?1049;1$y", "\xC2?1049;1$y"}) {
        ScreenAnswer answer;
        ck_assert_msg(!answer.feed(other), "%s", other);
    }
    ScreenAnswer answer;
    answer.feed("\x9B");
    ck_assert(answer.is_under_way());
}
END_TEST

START_TEST(what_has_begun_is_told) {
    ScreenAnswer answer;
    answer.feed("typed\r");
    ck_assert(!answer.has_begun());
    answer.feed("\x1B[?104");
    ck_assert(answer.has_begun() && answer.is_under_way());
    answer.feed("9;1$y");
    ck_assert(!answer.has_begun());
    // It may be the key, too.
    answer.feed("\x1B");
    ck_assert(answer.has_begun() && !answer.is_under_way());
    answer.feed("[");
    ck_assert(answer.is_under_way());
}
END_TEST

START_TEST(what_looks_like_one_is_none) {
    for (const char* other :
         {"\x1B[?1049;x$y", "\x1B[?1049;12$y", "\x1B[?2026;2$y", "[?1049;1$y", "\x1B[1049;1$y",
          "\x1B[?1049;1$", "\x1B[?1049;$y", "\x1B[?10\r49;1$y", ""}) {
        ScreenAnswer answer;
        ck_assert_msg(!answer.feed(other), "%s", other);
        ck_assert(answer.shows() == Shows::unknown);
    }
}
END_TEST

int main() {
    return vigil::test::run("screen_answer", {an_answer_is_read, it_is_found_among_keys,
                                              a_hidden_cursor_is_told_of_and_is_not_the_last_answer,
                                              it_may_begin_with_a_control_of_8_bits,
                                              what_has_begun_is_told, what_looks_like_one_is_none});
}
