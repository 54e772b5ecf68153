#pragma once
// Logging for programs (libraries return errors). To the journal by its native protocol when stderr
// is the journal, else to stderr. Text from outside is escaped by the callee, always.

#include "base/error.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace vigil::base {

enum class Level { alert = 1, error = 3, warning = 4, notice = 5, info = 6, debug = 7 };

void set_log_level(Level most) noexcept;

/// One line. Escapes control characters and invalid UTF-8 in `text`.
void log(Level level, std::string_view text) noexcept;

/// A warning, "DOING: why not", if it was not done.
void log_failure(std::string_view doing, const Result<>& result) noexcept;

struct LogField {
    std::string_view name; ///< upper case, as in systemd.journal-fields(7)
    std::string value;
};

/// A structured journal entry: MESSAGE, PRIORITY, MESSAGE_ID (32 hex digits) and `fields`.
void log_event(Level level, std::string_view message_id, std::string_view text,
               const std::vector<LogField>& fields) noexcept;

/// The same, to the journal wherever stderr leads: for programs that a person runs.
void log_to_journal(Level level, std::string_view message_id, std::string_view text,
                    const std::vector<LogField>& fields) noexcept;

/// The one escaper of every sink: control characters, DEL, C1 and invalid UTF-8 become \xNN;
/// printable UTF-8 stays (CVE-2023-28486, CVE-2024-28085). At most `limit` bytes come out.
std::string escape(std::string_view text, std::size_t limit = 4096);

} // namespace vigil::base
