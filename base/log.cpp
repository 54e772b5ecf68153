#include "base/log.hpp"

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdlib>

#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

namespace vigil::base {

namespace {

std::atomic<Level> most_verbose{Level::info};

bool is_wanted(Level level) noexcept {
    return level <= most_verbose.load();
}

/// $JOURNAL_STREAM names the device and inode PID 1 connected; it is inherited by programs whose
/// stderr has since been sent elsewhere (systemd.exec(5)), hence the comparison.
bool stderr_is_journal() noexcept {
    const char* stream = getenv("JOURNAL_STREAM");
    struct stat status{};
    if (stream == nullptr || fstat(STDERR_FILENO, &status) != 0)
        return false;
    const std::string_view text{stream};
    unsigned long long device = 0;
    unsigned long long inode = 0;
    const char* const end = text.data() + text.size();
    const auto first = std::from_chars(text.data(), end, device);
    if (first.ec != std::errc{} || first.ptr == end || *first.ptr != ':')
        return false;
    const auto second = std::from_chars(first.ptr + 1, end, inode);
    return second.ec == std::errc{} && second.ptr == end && device == status.st_dev &&
           inode == status.st_ino;
}

void write_line(std::string line) noexcept {
    line += '\n';
    std::string_view rest{line};
    while (!rest.empty()) {
        const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return; // there is nowhere left to say so
        rest.remove_prefix(static_cast<std::size_t>(written));
    }
}

void send(const std::vector<std::string>& fields) {
    std::vector<iovec> parts;
    parts.reserve(fields.size());
    for (const std::string& field : fields)
        parts.push_back({const_cast<char*>(field.data()), field.size()});
    sd_journal_sendv(parts.data(), static_cast<int>(parts.size()));
}

std::string priority(Level level) {
    return "PRIORITY=" + std::to_string(static_cast<int>(level));
}

void send_event(Level level, std::string_view message_id, std::string_view text,
                const std::vector<LogField>& fields) {
    std::vector<std::string> parts{"MESSAGE=" + escape(text), priority(level),
                                   "MESSAGE_ID=" + std::string{message_id}};
    for (const LogField& field : fields)
        parts.push_back(std::string{field.name} + "=" + escape(field.value));
    send(parts);
}

} // namespace

void set_log_level(Level most) noexcept {
    most_verbose = most;
}

void log_failure(std::string_view doing, const Result<>& result) noexcept {
    if (result)
        return;
    try {
        log(Level::warning, std::string{doing} + ": " + result.error().text());
    } catch (...) {
        log(Level::warning, doing);
    }
}

void log(Level level, std::string_view text) noexcept {
    if (!is_wanted(level))
        return;
    try {
        if (stderr_is_journal())
            send({"MESSAGE=" + escape(text), priority(level)});
        else
            write_line(std::string{program_invocation_short_name} + ": " + escape(text));
    } catch (...) {
        write_line({}); // out of memory: an empty line is what needs none
    }
}

void log_event(Level level, std::string_view message_id, std::string_view text,
               const std::vector<LogField>& fields) noexcept {
    if (!is_wanted(level))
        return;
    try {
        if (!stderr_is_journal()) {
            std::string line = std::string{program_invocation_short_name} + ": " + escape(text);
            for (const LogField& field : fields)
                line += " " + std::string{field.name} + "=" + escape(field.value);
            write_line(std::move(line));
            return;
        }
        send_event(level, message_id, text, fields);
    } catch (...) {
        write_line({});
    }
}

void log_to_journal(Level level, std::string_view message_id, std::string_view text,
                    const std::vector<LogField>& fields) noexcept {
    try {
        send_event(level, message_id, text, fields);
    } catch (...) {
        write_line({});
    }
}

} // namespace vigil::base
