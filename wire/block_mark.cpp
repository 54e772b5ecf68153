#include "wire/block_mark.hpp"

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/number.hpp"
#include "base/process.hpp"
#include "base/unique_fd.hpp"
#include "wire/beside.hpp"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vigil::wire {

namespace {

constexpr std::string_view until_word = "until ";
constexpr const char* no_words = "This account is blocked on this host.";

/// The first line of a text, which it takes away.
std::string_view take_line(std::string_view& text) {
    const auto end = text.find('\n');
    const auto line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    return line;
}

constexpr uid_t no_uid = UINT32_MAX;

/// "": there is something, and it is no mark of vigild's. nullopt: there is nothing. An error:
/// nobody can tell.
Result<std::optional<std::string>> read_mark(const std::string& folder, uid_t uid) {
    struct stat status{};
    if (::lstat(folder.c_str(), &status) != 0)
        return errno == ENOENT ? Result<std::optional<std::string>>{} : fail(errno, folder);
    if (!S_ISDIR(status.st_mode))
        return fail(ENOTDIR, folder);
    const auto path = folder + "/" + std::to_string(uid);
    const base::UniqueFd file{
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)};
    if (!file) {
        // No descriptor is left, it is a link, or not this user's to read: that it is there does.
        if (errno != ENOENT && ::lstat(path.c_str(), &status) == 0)
            return "";
        return errno == ENOENT ? Result<std::optional<std::string>>{} : fail(errno, folder);
    }
    if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != 0)
        return "";
    std::array<char, max_mark_bytes + 1> buffer{};
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 || static_cast<std::size_t>(got) > max_mark_bytes)
        return "";
    return std::string{buffer.data(), static_cast<std::size_t>(got)};
}

} // namespace

std::string text_of(const BlockMark& mark) {
    std::string text = mark.line + "\n";
    if (mark.until != BootTime::max())
        text += std::string{until_word} + std::to_string(mark.until.time_since_epoch().count());
    return text + "\n";
}

BlockMark mark_of(std::string_view text) {
    BlockMark mark{.line = std::string{take_line(text)}};
    const auto end = take_line(text);
    Microseconds::rep until = 0;
    if (end.starts_with(until_word) && base::parse_number(end.substr(until_word.size()), until) &&
        until >= 0)
        mark.until = BootTime{Microseconds{until}};
    return mark;
}

std::optional<std::string> blocked_by_mark(const std::string& socket, uid_t uid) {
    if (uid == no_uid)
        return std::nullopt;
    const auto found = read_mark(beside(socket, blocked_folder), uid);
    // Root is blocked by nobody, and has this to mend.
    if (!found && uid != 0)
        return "vigild cannot be asked, and without it cannot be told who is blocked (" +
               found.error().text() +
               "), so nobody but root may do this. See: systemctl status "
               "vigild";
    if (!found || !*found)
        return std::nullopt;
    const auto mark = mark_of(**found);
    if (mark.until <= base::read_boot_time())
        return std::nullopt;
    return mark.line.empty() ? no_words : mark.line;
}

std::optional<std::string> blocked_by_mark_here(const std::string& socket, uid_t runner) {
    auto reason = blocked_by_mark(socket, runner);
    const auto login = base::read_login_uid(::getpid());
    return reason || !login ? reason : blocked_by_mark(socket, *login);
}

} // namespace vigil::wire
