// The lock screen at several sizes, as the lines a person sees.

#include "terminal/screen.hpp"
#include "tests/unit/test.hpp"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

using namespace vigil;
using terminal::draw;
using terminal::Size;
using terminal::View;

namespace {

constexpr std::uint64_t second = 1'000'000;
constexpr std::uint64_t noon = 1'795'262'400 * second; // 2026-11-21 12:00 UTC

View some_view() {
    View view;
    view.info = {.locked = true,
                 .user = "alice",
                 .host = "web1.example",
                 .locked_by = "idle for 15 min",
                 .locked_since = noon + 2 * 60 * second,
                 .ends_at = noon + 4 * 3600 * second,
                 .factors = {"password", "totp"},
                 .paused = {"make, 2 h 10 min"}};
    view.now = WallTime{Microseconds{static_cast<std::int64_t>(noon + 3600 * second)}};
    view.utc_offset = Seconds{2 * 3600};
    return view;
}

/// The drawn text without its sequences, in lines, each as far as it was written.
std::vector<std::string> lines_of(const std::string& drawn) {
    std::vector<std::string> lines{""};
    std::size_t row = 0;
    for (std::size_t i = 0; i < drawn.size(); ++i) {
        if (drawn[i] == '\x1B') {
            const auto from = i + 2;
            while (i < drawn.size() && !std::isalpha(static_cast<unsigned char>(drawn[i])))
                ++i;
            unsigned to_row = 0;
            unsigned to_column = 0;
            if (i < drawn.size() && drawn[i] == 'H' &&
                std::sscanf(drawn.c_str() + from, "%u;%uH", &to_row, &to_column) == 2) {
                ck_assert_uint_gt(std::min(to_row, to_column), 0);
                row = to_row - 1;
                lines.resize(std::max(lines.size(), row + 1));
                lines[row].resize(to_column - 1, ' ');
            }
        } else if (drawn[i] == '\n') { // on a dumb terminal alone
            ++row;
            lines.resize(std::max(lines.size(), row + 1));
        } else if (drawn[i] != '\r' && drawn[i] != '\x0F') {
            lines[row] += drawn[i];
        }
    }
    return lines;
}

bool shows(const std::vector<std::string>& lines, const std::string& text) {
    return std::ranges::any_of(
        lines, [&](const auto& line) { return line.find(text) != std::string::npos; });
}

void fits(const std::vector<std::string>& lines, Size size) {
    ck_assert_uint_le(lines.size(), size.rows);
    for (const auto& line : lines)
        ck_assert_uint_le(line.size(), size.columns);
}

} // namespace

START_TEST(all_of_it_is_shown_at_80x24) {
    const auto lines = lines_of(draw(some_view(), {80, 24}));
    fits(lines, {80, 24});
    ck_assert(shows(lines, "web1.example"));
    ck_assert(shows(lines, "Locked since 14:02 (idle for 15 min)"));
    ck_assert(shows(lines, "User: alice"));
    ck_assert(shows(lines, "Ends at 18:00, in 3 h."));
    ck_assert(shows(lines, "Paused: make, 2 h 10 min"));
    ck_assert(lines.back().ends_with("Password or code: "));
}
END_TEST

START_TEST(words_wrap_at_20x10_and_the_prompt_stays) {
    View view = some_view();
    view.info.warnings = {
        "Process 4242 (cat) of bob has this terminal open: only a code is taken."};
    view.info.factors = {"totp"};
    view.message = "Wrong. Next try in 4 s.";
    const auto lines = lines_of(draw(view, {20, 10}));
    fits(lines, {20, 10});
    ck_assert(shows(lines, "Locked since 14:02"));
    ck_assert(shows(lines, "Next try in"));
    ck_assert(lines.back().ends_with("Code: "));
}
END_TEST

START_TEST(it_stands_in_the_middle_at_200x60) {
    const auto lines = lines_of(draw(some_view(), {200, 60}));
    fits(lines, {200, 60});
    const auto host = std::ranges::find_if(
        lines, [](const auto& line) { return line.find("web1") != std::string::npos; });
    ck_assert(host - lines.begin() > 10);
    ck_assert_uint_gt(host->find("web1"), 60);
}
END_TEST

START_TEST(what_is_paused_fits_and_gives_way) {
    View view = some_view();
    ck_assert(shows(lines_of(draw(view, {20, 24})), "make, 2 h"));
    ck_assert(!shows(lines_of(draw(view, {20, 4})), "make"));
    view.info.paused = {"make, 2 h 10 min", "v\x1B[2Jim, 5 s", "less, 1 s"};
    view.info.paused_more = 4;
    const auto drawn = draw(view, {80, 24});
    ck_assert(shows(lines_of(drawn), "Paused: make, 2 h 10 min; v"));
    ck_assert(shows(lines_of(drawn), "and 4 more"));
    ck_assert(drawn.find("v\x1B") == std::string::npos);
    view.info.paused.clear();
    view.info.paused_more = 0;
    ck_assert(!shows(lines_of(draw(view, {80, 24})), "Paused"));
}
END_TEST

START_TEST(on_a_dumb_terminal_what_was_said_is_not_said_again) {
    View view = some_view();
    view.info.user = "al\x1B[2Jice";
    std::vector<std::string> shown;
    const auto first = terminal::draw_plain(view, {80, 24}, shown);
    ck_assert(first.find('\x1B') == std::string::npos);
    ck_assert(
        first.starts_with(std::string(24, '\n') +
                          "\r\nweb1.example\r\nLocked since 14:02 (idle for 15 min)\r\nUser: "));
    ck_assert(first.ends_with("\r\nPassword or code: "));
    CHECK_TEXT(terminal::draw_plain(view, {80, 24}, shown), "\r\nPassword or code: ");
    view.message = "Wrong.";
    view.asking = false;
    CHECK_TEXT(terminal::draw_plain(view, {80, 24}, shown), "\r\nWrong.");
    CHECK_TEXT(terminal::draw_plain(view, {80, 24}, shown), "");
    view.message.clear();
    view.info.warnings = {"Process 7 (cat) reads along."};
    CHECK_TEXT(terminal::draw_plain(view, {80, 24}, shown), "\r\nProcess 7 (cat) reads along.");
    view.message = "Wrong.";
    CHECK_TEXT(terminal::draw_plain(view, {80, 24}, shown), "\r\nWrong.");
    shown.clear();
    ck_assert_uint_eq(terminal::draw_plain(view, {80, 65535}, shown).find_first_not_of('\n'), 512);
    shown.clear();
    ck_assert_uint_eq(terminal::draw_plain(view, {0, 0}, shown).find_first_not_of('\n'), 24);
    for (unsigned columns = 0; columns < 30; ++columns) {
        shown.clear();
        fits(lines_of(terminal::draw_plain(view, {columns, 1}, shown)),
             {columns == 0 ? 80 : columns, 999});
    }
}
END_TEST

START_TEST(what_goes_on_is_told_below_what_is_paused) {
    View view = some_view();
    ck_assert(!shows(lines_of(draw(view, {80, 24})), "Goes on"));
    view.info.goes_on = {"make", "tm\x1B[2Jux: server"};
    view.info.goes_on_more = 2;
    const auto drawn = draw(view, {80, 24});
    const auto lines = lines_of(drawn);
    const auto paused = std::ranges::find_if(
        lines, [](const auto& line) { return line.find("Paused: make") != std::string::npos; });
    ck_assert(paused != lines.end() && paused + 1 != lines.end());
    ck_assert((paused + 1)->find("Goes on: make; tm") != std::string::npos);
    ck_assert((paused + 1)->ends_with(" and 2 more"));
    ck_assert(drawn.find("tm\x1B") == std::string::npos);
    ck_assert(!shows(lines_of(draw(view, {20, 4})), "Goes on"));
}
END_TEST

START_TEST(the_end_and_what_is_left_are_told) {
    View view = some_view();
    const auto told = [&](std::uint64_t seconds) {
        view.info.ends_at = noon + (3600 + seconds) * second;
        return terminal::end_line(view.info.ends_at, view.now, view.utc_offset);
    };
    CHECK_TEXT(told(130 * 60), "Ends at 17:10, in 2 h 10 min.");
    CHECK_TEXT(told(130 * 60 - 1), "Ends at 17:09, in 2 h 9 min.");
    CHECK_TEXT(told(60), "Ends at 15:01, in 1 min.");
    CHECK_TEXT(told(59), "Ends at 15:00.");
    CHECK_TEXT(told(0), "Ends at 15:00.");
    view.now += Seconds{3600}; // it is over
    CHECK_TEXT(told(0), "Ends at 15:00.");
    CHECK_TEXT(told(30 * 3600), "Ends at 2026-11-22 21:00, in 29 h.");
    view.info.ends_at = wire::unlimited;
    CHECK_TEXT(terminal::end_line(view.info.ends_at, view.now, view.utc_offset), "");
}
END_TEST

START_TEST(nothing_is_coloured) {
    View view = some_view();
    for (const bool lock_console : {false, true}) {
        view.lock_console = lock_console;
        const auto drawn = draw(view, {80, 24});
        ck_assert(drawn.find("\x1B[3") == std::string::npos &&
                  drawn.find("\x1B[4") == std::string::npos);
    }
}
END_TEST

START_TEST(every_size_is_survived) {
    View view = some_view();
    view.info.warnings = {std::string(300, 'w'), "a b c"};
    view.message = "m";
    for (unsigned columns = 0; columns < 90; ++columns) {
        for (unsigned rows = 0; rows < 30; ++rows) {
            const auto drawn = draw(view, {columns, rows});
            ck_assert(drawn.find_first_of("\r\n") == std::string::npos); // it could scroll
            const auto lines = lines_of(drawn);
            fits(lines, {columns == 0 ? 80 : columns, rows == 0 ? 24 : rows});
        }
    }
}
END_TEST

START_TEST(only_what_is_taken_is_asked_for) {
    ck_assert(terminal::prompt_for({"password", "totp"}) == "Password or code:");
    ck_assert(terminal::prompt_for({"totp"}) == "Code:");
    ck_assert(terminal::prompt_for({"password"}) == "Password:");
    ck_assert(terminal::prompt_for({}) == "");
    View view = some_view();
    view.info.factors = {};
    ck_assert(shows(lines_of(draw(view, {80, 24})), "vigilctl unlock"));
    view.asking = false;
    ck_assert(!shows(lines_of(draw(view, {80, 24})), "vigilctl unlock"));
}
END_TEST

START_TEST(text_from_outside_is_escaped) {
    View view = some_view();
    view.info.user = "ali\x1B]0;x\x07"
                     "ce";
    view.message = "no\x1B[2J";
    const std::string drawn = draw(view, {80, 24});
    ck_assert(drawn.find("\x1B]0") == std::string::npos);
    ck_assert(drawn.find("\\x1b") != std::string::npos || drawn.find("\\x1B") != std::string::npos);
    ck_assert(drawn.find("no\x1B") == std::string::npos);
}
END_TEST

START_TEST(another_days_lock_shows_its_date) {
    View view = some_view();
    view.info.locked_since = noon - 24 * 3600 * second;
    ck_assert(shows(lines_of(draw(view, {80, 24})), "Locked since 2026-11-20 14:00"));
    view.info.ends_at = wire::unlimited;
    ck_assert(!shows(lines_of(draw(view, {80, 24})), "Ends at"));
}
END_TEST

START_TEST(only_a_lock_console_has_a_key_for_somebody_else) {
    View view = some_view();
    ck_assert(draw(view, {80, 24}).find("Somebody else") == std::string::npos);
    view.lock_console = true;
    for (const Size size : {Size{80, 24}, Size{50, 24}, Size{80, 11}, Size{60, 12}}) {
        const std::string drawn = draw(view, size);
        ck_assert(drawn.find("Somebody else? F1 leads to another login.") != std::string::npos);
        ck_assert(drawn.find("web1.example") != std::string::npos);
        ck_assert(drawn.ends_with("Password or code: "));
    }
}
END_TEST

/// A whole line each, however long what stands in it is, and never one more.
START_TEST(bars_are_as_wide_as_the_screen) {
    View view = some_view();
    view.lock_console = true;
    for (const auto& host : {std::string{}, std::string{"\u00E9"}, std::string(200, 'x')}) {
        view.info.host = host;
        const std::string drawn = draw(view, {100, 30});
        for (const char* row : {"\x1B[1;1H\x1B[7m", "\x1B[30;1H\x1B[7m"}) {
            const auto at = drawn.find(row);
            ck_assert(at != std::string::npos);
            const auto from = drawn.find("7m", at) + 2;
            const auto bar = drawn.substr(from, drawn.find('\x1B', from) - from);
            ck_assert_uint_eq(std::ranges::count_if(bar, [](char c) { return (c & 0xC0) != 0x80; }),
                              100);
        }
    }
}
END_TEST

START_TEST(wrapping_keeps_characters_whole) {
    const auto lines = terminal::wrap("\u00E9\u00E9\u00E9\u00E9\u00E9", 2);
    ck_assert_uint_eq(lines.size(), 3);
    ck_assert(lines[0] == "\u00E9\u00E9");
    ck_assert(terminal::wrap("ab cd", 2) == (std::vector<std::string>{"ab", "cd"}));
    ck_assert(terminal::wrap("", 5) == std::vector<std::string>{""});
    ck_assert_uint_eq(terminal::wrap("abc", 0).size(), 3);
}
END_TEST

int main() {
    return vigil::test::run(
        "screen", {all_of_it_is_shown_at_80x24, words_wrap_at_20x10_and_the_prompt_stays,
                   it_stands_in_the_middle_at_200x60, what_is_paused_fits_and_gives_way,
                   every_size_is_survived, on_a_dumb_terminal_what_was_said_is_not_said_again,
                   nothing_is_coloured, what_goes_on_is_told_below_what_is_paused,
                   the_end_and_what_is_left_are_told, only_what_is_taken_is_asked_for,
                   text_from_outside_is_escaped, another_days_lock_shows_its_date,
                   only_a_lock_console_has_a_key_for_somebody_else, bars_are_as_wide_as_the_screen,
                   wrapping_keeps_characters_whole});
}
