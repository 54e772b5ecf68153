#pragma once
// How vigilctl shows things: JSON of the contract, tables, times. Pure: the clock, the width and
// the locale come as arguments. Every text from outside is escaped here.

#include "base/time.hpp"
#include "wire/messages.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace vigil::cli {

/// How the modules of a QR code can be drawn.
enum class Modules {
    none,  ///< nothing but lines of text
    hash,  ///< two # each
    block, ///< two in a character, one above the other
};

/// What the terminal can do.
struct Look {
    std::size_t width = 80;
    bool colour = false;
    bool utf8 = false;
    std::size_t height = 24;
    Modules modules = Modules::hash;
};

nlohmann::ordered_json to_json(const wire::Session& session,
                               const std::vector<wire::Session>& elevated);
nlohmann::ordered_json to_json(const wire::Factor& factor);
nlohmann::ordered_json to_json(const wire::Grant& grant);
nlohmann::ordered_json to_json(const wire::Request& request);
/// `blocks`: nullopt for who is not told of them.
nlohmann::ordered_json to_json(const wire::Status& status,
                               const std::optional<std::vector<wire::Block>>& blocks);
/// As it is printed: indented, ASCII, so that no terminal is harmed.
std::string json_text(const nlohmann::ordered_json& json);

std::string joined(const std::vector<std::string>& texts, const char* between);

/// "2026-11-21T12:00:00Z", of microseconds since the epoch.
std::string rfc3339(std::uint64_t microseconds);
/// "14:02", with the date in front when it is another day's. Local time.
std::string clock_text(std::uint64_t microseconds, const Now& now);
/// "45s", "12m", "3h05m", "2d03h"; "none" for wire::unlimited.
std::string duration_text(std::uint64_t seconds);

struct Cell {
    std::string text;
    std::string_view style = {}; ///< an SGR sequence's number, e.g. "33"
};
using Row = std::vector<Cell>;

/// Columns as wide as needed; where that is too wide the widest are cut, but for the first; where
/// that is not enough the last columns go.
std::string table(const std::vector<std::string>& titles, const std::vector<Row>& rows, Look look);

/// A session and what is elevated in it.
struct Listed {
    wire::Session session;
    std::vector<wire::Session> elevated;
};

/// What is elevated stands below its login; by itself where that is over.
std::vector<Listed> by_login(const std::vector<wire::Session>& sessions);

std::string session_table(const std::vector<wire::Session>& sessions, const Now& now, Look look);
std::string session_details(const wire::Session& session, const Now& now, Look look);
std::string factor_table(const std::vector<wire::Factor>& factors, const Now& now, Look look);
std::string grant_table(const std::vector<wire::Grant>& grants, const Now& now, Look look);
std::string request_table(const std::vector<wire::Request>& requests, const Now& now, Look look);
std::string request_details(const wire::Request& request, const Now& now, Look look);
std::string status_text(const wire::Status& status, const std::vector<wire::Block>& blocks,
                        const Now& now, Look look);

/// The shortest beginning, at least 8 digits, that tells these ids apart.
std::size_t short_id_length(const std::vector<wire::Session>& sessions);

/// Dark modules of a QR code, row by row.
struct QrMatrix {
    std::size_t width = 0;
    std::vector<bool> dark;
};

/// With so many light modules around it. Light is drawn, for terminals are dark; with colour it is
/// right on light ones too. "" for Modules::none.
std::string qr_text(const QrMatrix& matrix, std::size_t quiet_zone, Look look);

/// What stands above the question for a code: the QR code, with the widest quiet zone that leaves
/// the window whole from there to the question, or why there is none; URI and secret.
std::string enrollment_text(const wire::Enrollment& enrollment, const QrMatrix& matrix, Look look);
/// URI and secret alone.
std::string enrollment_text(const wire::Enrollment& enrollment);

} // namespace vigil::cli
