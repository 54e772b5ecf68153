// Tables and QR codes of output.hpp.

#include "base/log.hpp"
#include "cli/output.hpp"

#include <algorithm>

namespace vigil::cli {

namespace {

constexpr std::size_t gap = 2;
constexpr std::size_t narrowest_column = 4;
// The standard asks for 4; a light one of 1 on a dark screen is read by telephones just so.
constexpr std::size_t widest_quiet_zone = 4;
constexpr std::size_t narrowest_quiet_zone = 1;

bool starts_character(char byte) noexcept {
    return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

/// In characters: names of users and hosts are hardly ever of double width.
std::size_t width_of(std::string_view text) noexcept {
    return static_cast<std::size_t>(std::ranges::count_if(text, starts_character));
}

std::string cut(const std::string& text, std::size_t width, bool utf8) {
    if (width_of(text) <= width)
        return text;
    std::size_t at = 0;
    for (std::size_t seen = 0; at < text.size(); ++at) {
        if (starts_character(text[at]) && seen++ == width - 1)
            break;
    }
    return text.substr(0, at) + (utf8 ? "\u2026" : "~");
}

std::size_t total(const std::vector<std::size_t>& widths) noexcept {
    std::size_t sum = widths.empty() ? 0 : gap * (widths.size() - 1);
    for (const std::size_t width : widths)
        sum += width;
    return sum;
}

/// Never the first column: it is what people copy.
void shrink(std::vector<std::size_t>& widths, std::size_t most) {
    while (total(widths) > most && widths.size() > 1) {
        const auto widest = std::max_element(widths.begin() + 1, widths.end());
        if (*widest > narrowest_column)
            --*widest;
        else
            widths.pop_back();
    }
}

std::string styled(const std::string& text, std::string_view style, bool colour) {
    if (!colour || style.empty())
        return text;
    return "\x1B[" + std::string{style} + "m" + text + "\x1B[0m";
}

std::string line(const Row& cells, const std::vector<std::size_t>& widths, Look look) {
    std::string out;
    std::size_t owed = 0; // spaces, written only before a text: no line ends with some
    for (std::size_t i = 0; i < widths.size(); ++i) {
        const std::string text = cut(cells[i].text, widths[i], look.utf8);
        if (!text.empty()) {
            out.append(owed, ' ');
            owed = 0;
            out += styled(text, cells[i].style, look.colour);
        }
        owed += widths[i] - width_of(text) + gap;
    }
    return out + "\n";
}

struct Size {
    std::size_t width = 0;
    std::size_t height = 0;
};

Size qr_size(std::size_t side, Modules modules) noexcept {
    return modules == Modules::block ? Size{side, (side + 1) / 2} : Size{2 * side, side};
}

/// What lines take in a window that wraps them.
std::size_t rows_of(std::string_view lines, std::size_t width) noexcept {
    std::size_t rows = 0;
    while (!lines.empty()) {
        const auto end = lines.find('\n');
        rows += std::max<std::size_t>(1, (end + width - 1) / width);
        lines.remove_prefix(end + 1);
    }
    return rows;
}

} // namespace

std::string table(const std::vector<std::string>& titles, const std::vector<Row>& rows, Look look) {
    Row head;
    std::vector<std::size_t> widths;
    for (const auto& title : titles) {
        head.push_back({title, "1"});
        widths.push_back(title.size());
    }
    std::vector<Row> safe = rows;
    for (auto& row : safe) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            row[i].text = base::escape(row[i].text);
            widths[i] = std::max(widths[i], width_of(row[i].text));
        }
    }
    shrink(widths, look.width);
    std::string out = line(head, widths, look);
    for (const auto& row : safe)
        out += line(row, widths, look);
    return out;
}

std::string qr_text(const QrMatrix& matrix, std::size_t quiet_zone, Look look) {
    if (look.modules == Modules::none)
        return "";
    const bool blocks = look.modules == Modules::block;
    const std::size_t side = matrix.width + 2 * quiet_zone;
    const auto light = [&](std::size_t x, std::size_t y) {
        if (y >= side) // below the last row of an odd number
            return false;
        const std::size_t column = x - quiet_zone;
        const std::size_t row = y - quiet_zone; // wraps round in the quiet zone
        return column >= matrix.width || row >= matrix.width ||
               !matrix.dark[row * matrix.width + column];
    };
    std::string out;
    for (std::size_t y = 0; y < side; y += blocks ? 2 : 1) {
        std::string row;
        for (std::size_t x = 0; x < side; ++x) {
            const bool upper = light(x, y);
            if (!blocks)
                row += upper ? "##" : "  ";
            else if (upper && light(x, y + 1))
                row += "\u2588";
            else if (upper)
                row += "\u2580";
            else
                row += light(x, y + 1) ? "\u2584" : " ";
        }
        out += styled(row, "97;40", look.colour) + "\n";
    }
    return out;
}

std::string enrollment_text(const wire::Enrollment& enrollment) {
    return "URI:    " + base::escape(enrollment.uri) +
           "\nSecret: " + base::escape(enrollment.secret) + "\n";
}

std::string enrollment_text(const wire::Enrollment& enrollment, const QrMatrix& matrix, Look look) {
    const std::string below = enrollment_text(enrollment);
    if (look.modules == Modules::none || matrix.width == 0)
        return "A QR code cannot be shown here.\n" + below;
    const std::size_t below_height = rows_of(below, look.width) + 1; // and the question
    Size needed;
    for (std::size_t quiet = widest_quiet_zone; quiet >= narrowest_quiet_zone; --quiet) {
        needed = qr_size(matrix.width + 2 * quiet, look.modules);
        needed.height += below_height;
        if (needed.width <= look.width && needed.height <= look.height)
            return "Scan this with the authenticator:\n" + qr_text(matrix, quiet, look) + below;
    }
    return "The window is too small for the QR code: it takes " + std::to_string(needed.width) +
           " columns and " + std::to_string(needed.height) + " rows.\n" + below;
}

} // namespace vigil::cli
