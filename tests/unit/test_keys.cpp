// What a terminal sends, and what of it is an answer.

#include "terminal/keys.hpp"
#include "tests/unit/test.hpp"

#include <random>
#include <string>

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
    ck_assert(keys.feed("\r\n\r\r") == Event::empty_line);
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
    // An Escape begins anew wherever it comes.
    expect("a\x1B]0;title\x1B[Ab\x1BO\x1B[Ac\x1B[[\x1B[Ad\x1B[M!\x1B[Ae\x1BP1\x1B\x1B\\f",
           "abcdef");
}
END_TEST

START_TEST(a_keypad_in_application_mode_types_digits) {
    expect("\x1BOp\x1BOq\x1BOr\x1BOs\x1BOt\x1BOu\x1BOv\x1BOw\x1BOx\x1BOy\x1BOn\x8Fp\u008Fy",
           "0123456789.09");
    Keys keys;
    ck_assert(keys.feed("\x1BOM") == Event::empty_line);
    ck_assert(keys.feed("\x1BOq2\x1BOM") == Event::submitted);
    CHECK_TEXT(keys.take().view(), "12");
    // It is Enter, with all that holds for one.
    ck_assert(keys.feed("1\x1BOM\x1BOM\r") == Event::submitted);
    CHECK_TEXT(keys.take().view(), "1");
    ck_assert(keys.feed("1\r\x1BOq") == Event::several_lines);
    keys.settle();
    for (int byte = 0; byte < 0x7F; ++byte) {
        if ((byte >= 'p' && byte <= 'y') || byte == 'n' || byte == 'M' || byte == 0x1B ||
            (byte >= '0' && byte <= '9') || byte == ';')
            continue;
        expect(std::string{"a\x1BO"} + static_cast<char>(byte) + "b", "ab");
    }
    // Ctrl and a function key, or one of the keypad.
    expect("a\x1BO5P\x1BO5q\x1BO1;5P\x1BO1;2q\x1BO5M"
           "b",
           "ab");
}
END_TEST

START_TEST(a_letter_said_in_a_sequence_is_a_letter) {
    expect("\x1B[97u\x1B[98;1u\x1B[67;2u\x1B[49;129u\x1B[32;1u\x1B[126;2u\x9B"
           "48u",
           "abC1 ~0");
    expect("\x1B[27;1;97~\x1B[27;2;66~\x1B[27;130;50~", "aB2");
    Keys keys;
    ck_assert(keys.feed("x\r\x1B[97u") == Event::several_lines);
    keys.settle();
    ck_assert(keys.feed("\x1B[27;1;97~\r") == Event::submitted);
    CHECK_TEXT(keys.take().view(), "a");
}
END_TEST

START_TEST(all_else_said_in_a_sequence_is_nothing) {
    for (unsigned code = 0; code < 300; ++code) {
        for (unsigned modifiers = 0; modifiers < 300; ++modifiers) {
            const bool typed =
                code >= 0x20 && code < 0x7F &&
                (modifiers == 1 || modifiers == 2 || modifiers == 129 || modifiers == 130);
            const std::string wanted = typed ? std::string(2, static_cast<char>(code)) : "<none>";
            const auto one = std::to_string(code);
            const auto other = std::to_string(modifiers);
            expect("\x1B[" + one + ";" + other + "u\x1B[27;" + other + ";" + one + "~",
                   wanted.c_str());
        }
    }
    // Reports, releases of keys, what has too much or too little, or another end.
    for (const char* nothing :
         {"[?97u",      "[>97u",      "[=97u",     "[<97u",       "[97 u",       "[97$u",
          "[97:65;2u",  "[97;1:3u",   "[97;1;97u", "[97;1;1;1u",  "[u",          "[;u",
          "[;1u",       "[97;u",      "[97;0u",    "[100097u",    "[97~",        "[97;1~",
          "[27;97~",    "[27;5;97~",  "[27;;97~",  "[27;1;97;1~", "[27;1;97:1~", "[?27;1;97~",
          "[28;1;97~",  "[27;1;97$~", "[27;1;13~", "[13u",        "[127u",       "[8u",
          "[21u",       "[27;1;97u",  "[97;1R",    "[97;1A",      "[97\x18",     "[233u",
          "[57400;129u"}) {
        const auto bytes = std::string{"a\x1B"} + nothing + "b";
        const std::string got = answer_after(bytes);
        ck_assert_msg(got == "ab", "%s: %s", nothing, got.c_str());
    }
}
END_TEST

START_TEST(controls_of_8_bits_begin_sequences_too) {
    expect("a\x9B?1049;2$yb\x9B"
           "1;5Cc\x8FPd",
           "abcd");
    expect("a\x9D"
           "0;title\x9C"
           "b\x90"
           "1$r0m\x9C"
           "c\x9Fx\x07"
           "d\x98y\x9C"
           "e\x9Ez\x9C"
           "f",
           "abcdef");
    expect("a\x84"
           "b\x80"
           "c\x9C"
           "d",
           "abcd");
    expect("a\x1B[\x9B"
           "Ab",
           "ab");
    // Those of both kinds end what the other began.
    expect("a\x9D"
           "0;title\x1B\\b\x1B]0;title\x9C"
           "c",
           "abc");
}
END_TEST

START_TEST(so_they_do_in_utf_8) {
    expect("a\u009B?1049;2$yb\u009D0;title\u009Cc\u00901$r0m\u0007d\u0084e", "abcde");
    Keys keys; // cut between the two bytes
    keys.feed("a\xC2");
    ck_assert(keys.patience().count() == 0);
    keys.feed("\x9B?10");
    keys.feed("49;2$yb");
    ck_assert(keys.feed("\r") == Event::submitted);
    CHECK_TEXT(keys.take().view(), "ab");
    // They take no room.
    const std::string most(vigil::wire::max_answer_bytes, 'x');
    keys.feed(most + "\u009B?1049;2$y");
    ck_assert(keys.feed("\r") == Event::submitted);
    CHECK_TEXT(keys.take().view(), most);
}
END_TEST

START_TEST(letters_that_have_such_bytes_are_letters) {
    // U+00DB, U+1F61B, U+271B and others: 9B, 90 and 9D continue them.
    for (const char* letters :
         {"\u00DB", "\u00A0\u00A9", "\u2713\u201D\u2190", "\U0001F61B\U0001F41D"})
        expect(letters, letters);
    expect("\u00DB\x9B"
           "A\u2713\x9B"
           "Bx",
           "\u00DB\u2713x");
    // What is no UTF-8 is left as it is: there are older terminals.
    for (const char* letters : {"\xE9x", "\xC2", "\xC2\xC2x", "\xFCr", "\xC2\u00E9", "\xE2\x9Dx"})
        expect(letters, letters);
    expect("x\xC2\x7F"
           "y\xC2\x15z\xC2\x7F",
           "z");
    Keys keys; // forgotten with the rest
    keys.feed("x\xC2");
    keys.clear();
    ck_assert(keys.feed("y\r") == Event::submitted);
    CHECK_TEXT(keys.take().view(), "y");
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
    // Coordinates over 95, in one byte or in a character of UTF-8; none of them is a control.
    expect("a\x1B[M \x9B\x9D"
           "b\x1B[M \xE9\x90"
           "c",
           "abc");
    expect("a\x1B[M \u0080\u009Bb\x1B[M\u00A0!\u07FFc\x9BM \u00DB!d", "abcd");
    // Nobody knows of the last byte whether another one belongs to it.
    expect("a\x1B[M !\xE9"
           "b\x1B[M !\xC3"
           "c\x1B[M !\xC3\x1B[M !!d\x1B[M \xC3\xA9",
           "abcd");
}
END_TEST

START_TEST(reports_behind_enter_leave_the_answer_as_it_is) {
    for (const char* behind :
         {"\x1B[O", "\x1B[I\x1B[O", "\x1B[?1049;2$y", "\u009B?1049;2$y", "\x9B?1049;2$y",
          "\x1B[M !!", "\x1B[M \u0080\u0080", "\x1B[<0;1;1M\x1B[<0;1;1m", "\x1B]11;rgb:0/0/0\x1B\\",
          "\n", "\r\n\r", "\n\x1B[O\r", "\x1B", "\x1B[?10", "\x1B[A", "\x7F\x15\x03", "\x1B[[A",
          "\x1B[200~x\ry"}) {
        Keys keys;
        ck_assert_msg(keys.feed(std::string{"secret\r"} + behind) == Event::submitted, "%s",
                      behind);
        CHECK_TEXT(keys.take().view(), "secret");
    }
    // What has begun there is not typed into the next answer.
    Keys keys;
    keys.feed("secret\r\x1B[?10");
    CHECK_TEXT(keys.take().view(), "secret");
    ck_assert(keys.feed("49;2$ynext\r") == Event::submitted);
    CHECK_TEXT(keys.take().view(), "next");
    keys.feed("secret\r\x1B[200~past");
    CHECK_TEXT(keys.take().view(), "secret");
    ck_assert(keys.feed("ed\x1B[201~next\r") == Event::submitted);
    CHECK_TEXT(keys.take().view(), "next");
}
END_TEST

START_TEST(text_behind_enter_is_a_paste_whatever_stands_between) {
    for (const char* behind : {"l", "ls\r", "\nls\r", "\x1B[Ols", "\x1B[?1049;2$yx", "\x1B[M !!x",
                               "\u00E9", "\x1B[200~x\x1B[201~y"}) {
        Keys keys;
        ck_assert_msg(keys.feed(std::string{"secret\r"} + behind) == Event::several_lines, "%s",
                      behind);
        ck_assert(keys.take().empty());
    }
    const std::string over(vigil::wire::max_answer_bytes + 1, 'x');
    Keys keys;
    ck_assert(keys.feed(over + "\rls") == Event::several_lines);
    keys.settle();
    ck_assert(keys.feed(over + "\r\x1B[O") == Event::too_long);
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

START_TEST(a_bracketed_paste_of_one_line_is_as_if_typed) {
    expect("\x1B[200~secret\x1B[201~", "secret");
    expect("a\x1B[200~b c\u00E9\x1B[201~d\x1B[200~e\x1B[201~", "ab c\u00E9de");
    expect("\x1B[200~\x1B[201~a\x1B[200~\r\x1B[201~", "a");
    expect("\x9B"
           "200~secret\x9B"
           "201~\u009B200~s\u009B201~",
           "secrets");
    // Its Enter is nobody's.
    for (const char* end : {"\r", "\n", "\r\n"}) {
        Keys keys;
        ck_assert(keys.feed(std::string{"\x1B[200~secret"} + end + "\x1B[201~") == Event::none);
        ck_assert(keys.patience().count() == 0);
        ck_assert(keys.feed("\r") == Event::submitted);
        CHECK_TEXT(keys.take().view(), "secret");
    }
    // Also in one piece with the Enter that a person pressed.
    Keys keys;
    ck_assert(keys.feed("\x1B[200~secret\r\x1B[201~\r") == Event::submitted);
    CHECK_TEXT(keys.take().view(), "secret");
    const std::string most(vigil::wire::max_answer_bytes, 'x');
    for (const char byte : "\x1B[200~" + most + "\r\x1B[201~")
        ck_assert(keys.feed({&byte, 1}) == Event::none);
    ck_assert(keys.feed("\r") == Event::submitted);
    CHECK_TEXT(keys.take().view(), most);
}
END_TEST

START_TEST(another_bracketed_paste_does_nothing_but_say_so) {
    const std::string most(vigil::wire::max_answer_bytes, 'x');
    for (const std::string& text :
         {std::string{"one\rtwo"}, std::string{"one\r\ntwo\r\n"}, std::string{"\rone"}, most + "xx",
          std::string{"one\ttwo"}, std::string{"one\x7F"}, std::string{"one\x03"},
          std::string{"o\0ne", 4}, std::string{"one\x1B[A"}, std::string{"one\u009B"},
          "rm -rf /\rmore\x1B[201\x1B[A" + most}) {
        Keys keys;
        keys.feed("a");
        ck_assert_msg(keys.feed("\x1B[200~" + text + "\x1B[201~") == Event::several_lines, "%s",
                      text.c_str());
        ck_assert(keys.patience().count() == 0);
        // What was typed before and behind it is as it was.
        ck_assert(keys.feed("b\r") == Event::submitted);
        CHECK_TEXT(keys.take().view(), "ab");
    }
}
END_TEST

START_TEST(a_paste_whose_end_does_not_come_does_nothing) {
    Keys keys;
    keys.feed("a\x1B[200~text\r");
    ck_assert(keys.is_pasting());
    ck_assert(keys.patience() >= vigil::Seconds{1});
    ck_assert(keys.feed("\rx\r") == Event::several_lines); // said once
    ck_assert(keys.feed("\rx\r") == Event::none);
    keys.settle();
    ck_assert(keys.feed("b\r") == Event::submitted);
    CHECK_TEXT(keys.take().view(), "ab");
    keys.feed("a\x1B[200~text");
    keys.settle();
    ck_assert(!keys.is_pasting());
    ck_assert(keys.feed("b\r") == Event::submitted);
    CHECK_TEXT(keys.take().view(), "ab");
    // What was forgotten meanwhile does not come back.
    keys.feed("a\x1B[200~te");
    keys.forget_text();
    ck_assert(keys.feed("xt\x1B[201~\r") == Event::empty_line);
    ck_assert(keys.feed("b\r") == Event::submitted);
    CHECK_TEXT(keys.take().view(), "b");
}
END_TEST

START_TEST(several_lines_at_once_do_nothing) {
    Keys keys;
    ck_assert(keys.feed("one\rtwo\rthree") == Event::several_lines);
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
    // Nor between brackets, whatever is in it, and it is said once.
    for (const std::string& part : {block, std::string(4095, 'p') + "\r"}) {
        keys.feed("\x1B[200~");
        ck_assert(keys.feed(part + "p") == Event::several_lines);
        for (int i = 0; i < 256; ++i)
            ck_assert(keys.feed(part) == Event::none);
        ck_assert(keys.feed("\x1B[201~\r") == Event::empty_line);
    }
}
END_TEST

START_TEST(whatever_comes_a_pause_and_a_line_are_an_answer) {
    std::mt19937 random{42};
    const std::string_view alphabet{
        "\x1B[]OMP<0;201~\r\n\x7F\x15\x03\\\x07xy\xC3\xA9\xC2\x9B\x9D\0u7", 29};
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
    return vigil::test::run("keys", {a_line_is_an_answer,
                                     enter_alone_is_no_answer,
                                     editing_erases_whole_characters,
                                     signals_characters_do_nothing,
                                     escape_sequences_do_nothing,
                                     a_keypad_in_application_mode_types_digits,
                                     a_letter_said_in_a_sequence_is_a_letter,
                                     all_else_said_in_a_sequence_is_nothing,
                                     controls_of_8_bits_begin_sequences_too,
                                     so_they_do_in_utf_8,
                                     letters_that_have_such_bytes_are_letters,
                                     a_consoles_function_keys_are_no_text,
                                     mouse_reports_do_nothing,
                                     reports_behind_enter_leave_the_answer_as_it_is,
                                     text_behind_enter_is_a_paste_whatever_stands_between,
                                     a_lone_escape_swallows_nothing_after_a_pause,
                                     a_bracketed_paste_of_one_line_is_as_if_typed,
                                     another_bracketed_paste_does_nothing_but_say_so,
                                     a_paste_whose_end_does_not_come_does_nothing,
                                     several_lines_at_once_do_nothing,
                                     a_line_over_the_bound_is_dropped_whole,
                                     a_mebibyte_of_paste_does_nothing,
                                     whatever_comes_a_pause_and_a_line_are_an_answer});
}
