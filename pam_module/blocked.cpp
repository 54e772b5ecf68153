#include "pam_module/blocked.hpp"

#include "base/unique_fd.hpp"
#include "pam_module/conversation.hpp"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

namespace vigil::pam {

namespace {

/// First line of the mark; empty if it cannot be read, which takes nothing from its force.
std::string read_reason(const std::string& path) {
    const base::UniqueFd fd{
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)};
    std::array<char, 256> buffer{};
    const ssize_t got = fd ? ::read(fd.get(), buffer.data(), buffer.size()) : -1;
    if (got <= 0)
        return {};
    std::string text{buffer.data(), static_cast<std::size_t>(got)};
    return text.substr(0, text.find('\n'));
}

} // namespace

std::optional<std::string> blocked(pam_handle_t* pam, const std::string& socket, uid_t uid) {
    // By lstat(2) alone: with no descriptor left it still answers. Between the two calls nobody but
    // root can change anything in a directory that is root's alone.
    const std::string directory = socket.substr(0, socket.rfind('/')) + "/blocked";
    const std::string path = directory + "/" + std::to_string(uid);
    struct stat status{};
    if (::lstat(directory.c_str(), &status) != 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            log(pam, LOG_ERR, "cannot look for blocked users in " + directory);
        return std::nullopt;
    }
    if (!S_ISDIR(status.st_mode) || status.st_uid != 0 || (status.st_mode & 022) != 0) {
        log(pam, LOG_ERR, directory + " is not a directory of root's alone: not looked at");
        return std::nullopt;
    }
    if (::lstat(path.c_str(), &status) != 0)
        return std::nullopt;
    if (!S_ISREG(status.st_mode) || status.st_uid != 0) {
        log(pam, LOG_ERR, path + " is not a file of root's: not looked at");
        return std::nullopt;
    }
    const std::string reason = read_reason(path);
    return "This account is blocked" + (reason.empty() ? "." : ": " + reason);
}

} // namespace vigil::pam
