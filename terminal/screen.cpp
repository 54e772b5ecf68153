#include "terminal/screen.hpp"

#include "base/duration.hpp"
#include "base/log.hpp"

#include <algorithm>
#include <cstdio>

namespace vigil::terminal {

namespace {

constexpr std::size_t widest_block = 64;
/// Rows of a window, whose size is the client's word.
constexpr std::size_t most_scrolled = 512;

bool starts_character(char byte) noexcept {
    return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

std::size_t characters(std::string_view text) noexcept {
    return static_cast<std::size_t>(std::ranges::count_if(text, starts_character));
}

/// Bytes of the first `count` characters.
std::size_t bytes_of(std::string_view text, std::size_t count) noexcept {
    std::size_t at = 0;
    while (at < text.size()) {
        if (starts_character(text[at]) && count-- == 0)
            break;
        ++at;
    }
    return at;
}

/// "14:02", with the date in front when it is another day's.
std::string moment(std::uint64_t microseconds, WallTime now, Seconds utc_offset) {
    using namespace std::chrono;
    const auto local = WallTime{Microseconds{static_cast<std::int64_t>(microseconds)}} + utc_offset;
    const auto day = floor<days>(local);
    const hh_mm_ss time{floor<minutes>(local - day)};
    char text[48];
    if (day == floor<days>(now + utc_offset)) {
        std::snprintf(text, sizeof text, "%02d:%02d", static_cast<int>(time.hours().count()),
                      static_cast<int>(time.minutes().count()));
    } else {
        const year_month_day date{day};
        std::snprintf(text, sizeof text, "%d-%02u-%02u %02d:%02d", static_cast<int>(date.year()),
                      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                      static_cast<int>(time.hours().count()),
                      static_cast<int>(time.minutes().count()));
    }
    return text;
}

constexpr const char* other_login = "Somebody else? F1 leads to another login.";

/// Letters are letters (SI, and ASCII as G0), and rows are counted from the top of the screen and
/// not of the region (DECOM). A terminal has kept what was there with the cursor when it left the
/// main screen, and sets it anew when it comes back (xterm's ctlseqs: 1049). Insert mode (IRM) is
/// left alone: each line is drawn once, on an empty one.
constexpr std::string_view usual_modes = "\x0F\x1B(B\x1B[?6l";

/// From here on a lock console has a bar at the top and one at the bottom.
constexpr Size least_with_bars{.columns = 60, .rows = 12};

/// Each line is placed: going down from one to the next would scroll the region that a program may
/// have set (DECSTBM), which stays as it is.
std::string place(std::size_t row, std::size_t column) {
    return "\x1B[" + std::to_string(row) + ";" + std::to_string(column) + "H";
}

/// One whole line, reversed.
std::string bar(std::size_t row, std::string_view text, std::size_t columns) {
    const std::string line{wrap(base::escape(text), columns - 2).front()};
    return place(row, 1) + "\x1B[7m " + line + std::string(columns - 1 - characters(line), ' ') +
           "\x1B[0m";
}

/// A part of the screen; in a small window the highest rank goes first.
struct Part {
    int rank;
    std::vector<std::string> lines;
};

std::string locked_line(const View& view) {
    std::string line = "Locked";
    if (view.info.locked_since != 0)
        line += " since " + moment(view.info.locked_since, view.now, view.utc_offset);
    if (!view.info.locked_by.empty())
        line += " (" + view.info.locked_by + ")";
    return line;
}

std::string list(std::string line, const std::vector<std::string>& programs, std::uint64_t more) {
    for (std::size_t i = 0; i < programs.size(); ++i)
        line += (i == 0 ? "" : "; ") + programs[i];
    if (more > 0)
        line += " and " + std::to_string(more) + " more";
    return line;
}

std::vector<Part> parts_of(const View& view, std::size_t width, bool bars) {
    std::vector<Part> parts;
    const auto add = [&](int rank, const std::string& text) {
        parts.push_back({rank, wrap(base::escape(text), width)});
    };
    const auto gap = [&](int rank) { parts.push_back({rank, {""}}); };
    if (!view.info.host.empty() && !bars)
        add(4, view.info.host);
    add(2, locked_line(view));
    if (!view.info.user.empty())
        add(3, "User: " + view.info.user);
    gap(8);
    for (const auto& warning : view.info.warnings)
        add(5, warning);
    if (!view.info.paused.empty())
        add(7, list("Paused: ", view.info.paused, view.info.paused_more));
    if (!view.info.goes_on.empty())
        add(7, list("Goes on: ", view.info.goes_on, view.info.goes_on_more));
    if (const auto line = end_line(view.info.ends_at, view.now, view.utc_offset); !line.empty())
        add(6, line);
    if (view.lock_console && !bars)
        add(9, other_login);
    gap(7);
    if (!view.message.empty())
        add(1, view.message);
    if (view.asking) {
        const std::string prompt = prompt_for(view.info.factors);
        add(0,
            prompt.empty() ? "Only an administrator can unlock this (vigilctl unlock)." : prompt);
    }
    return parts;
}

std::size_t height(const std::vector<Part>& parts) noexcept {
    std::size_t sum = 0;
    for (const auto& part : parts)
        sum += part.lines.size();
    return sum;
}

/// The lines that fit, most important parts kept, in their order.
std::vector<std::string> fit(std::vector<Part> parts, std::size_t rows) {
    while (height(parts) > rows && parts.size() > 1) {
        const auto least = std::ranges::max_element(parts, {}, &Part::rank);
        if (least->rank == 0)
            break;
        parts.erase(least);
    }
    std::vector<std::string> lines;
    for (auto& part : parts)
        lines.insert(lines.end(), part.lines.begin(), part.lines.end());
    if (lines.size() > rows)
        lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(rows));
    return lines;
}

} // namespace

std::string end_line(std::uint64_t ends_at, WallTime now, Seconds utc_offset) {
    if (ends_at == wire::unlimited)
        return "";
    constexpr std::chrono::minutes minute{1};
    const auto left = std::chrono::floor<std::chrono::minutes>(
        WallTime{Microseconds{static_cast<std::int64_t>(ends_at)}} - now);
    return "Ends at " + moment(ends_at, now, utc_offset) +
           (left < minute ? "." : ", in " + base::duration_text(left) + ".");
}

std::string prompt_for(const std::vector<std::string>& factors) {
    const bool password = std::ranges::find(factors, "password") != factors.end();
    const bool code = std::ranges::find(factors, "totp") != factors.end();
    if (password && code)
        return "Password or code:";
    if (code)
        return "Code:";
    return password ? "Password:" : "";
}

std::vector<std::string> wrap(std::string_view text, std::size_t width) {
    width = std::max<std::size_t>(width, 1);
    std::vector<std::string> lines;
    while (characters(text) > width) {
        const std::size_t most = bytes_of(text, width);
        // A space right behind the line is as good as one in it.
        const std::size_t space = text.substr(0, most + 1).rfind(' ');
        const bool broken = space == std::string_view::npos || space == 0;
        lines.emplace_back(text.substr(0, broken ? most : space));
        text.remove_prefix(broken ? most : space + 1);
    }
    lines.emplace_back(text);
    return lines;
}

namespace {

/// A terminal that does not say its size says 0.
Size known(Size size) noexcept {
    constexpr Size usual;
    return {.columns = size.columns == 0 ? usual.columns : size.columns,
            .rows = size.rows == 0 ? usual.rows : size.rows};
}

/// One column stays free: behind the last one terminals differ.
std::size_t width_of(std::size_t columns) noexcept {
    return std::min(columns > 1 ? columns - 1 : 1, widest_block);
}

} // namespace

std::string draw_plain(const View& view, Size size, std::vector<std::string>& shown) {
    const std::size_t columns = known(size).columns;
    const std::size_t rows = known(size).rows;
    std::vector<std::string> lines;
    std::string out;
    std::string prompt;
    for (const auto& part : parts_of(view, width_of(columns), false)) {
        for (const auto& line : part.lines) {
            if (part.rank == 0) {
                prompt += "\r\n" + line;
            } else if (!line.empty()) {
                if (std::ranges::find(shown, line) == shown.end())
                    out += "\r\n" + line;
                lines.push_back(line);
            }
        }
    }
    // What stood there goes up and out of the window before anything is said.
    if (shown.empty())
        out.insert(0, std::min(rows, most_scrolled), '\n');
    shown = std::move(lines);
    return out + (prompt.empty() ? "" : prompt + " ");
}

std::string draw(const View& view, Size size) {
    const std::size_t columns = known(size).columns;
    const std::size_t rows = known(size).rows;
    const std::size_t width = width_of(columns);
    const bool bars =
        view.lock_console && columns >= least_with_bars.columns && rows >= least_with_bars.rows;
    const auto lines = fit(parts_of(view, width, bars), bars ? rows - 2 : rows);

    std::size_t widest = 0;
    for (const auto& line : lines)
        widest = std::max(widest, characters(line));
    const std::size_t left = (columns - std::min(widest + 1, columns)) / 2;
    const std::size_t top = std::max<std::size_t>((rows - lines.size()) / 3, bars ? 1 : 0);

    std::string out{enter_screen};
    out += usual_modes;
    out += "\x1B[0m\x1B[2J";
    if (bars)
        out += bar(1, view.info.host, columns) + bar(rows, other_login, columns);
    out += "\x1B[?25h";
    for (std::size_t i = 0; i < lines.size(); ++i) {
        // The last one in any case: the cursor stays behind it.
        if (!lines[i].empty() || i + 1 == lines.size())
            out += place(top + i + 1, left + 1) + lines[i];
    }
    if (view.asking && columns > 1)
        out += ' ';
    return out;
}

} // namespace vigil::terminal
