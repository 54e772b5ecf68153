#include "terminal/tty.hpp"

#include "base/clock.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

namespace vigil::terminal {

Result<Tty> Tty::open(const std::string& path) {
    if (!path.starts_with("/dev/") || path.find("..") != std::string::npos)
        return fail(path + ": no terminal below /dev");
    // Not blocking: neither opening a serial line without carrier nor a stalled reader may hang us.
    base::UniqueFd fd{
        ::open(path.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW)};
    if (!fd)
        return fail(errno, "opening " + path);
    struct stat status{};
    if (fstat(fd.get(), &status) != 0)
        return fail(errno, "looking at " + path);
    if (!S_ISCHR(status.st_mode) || isatty(fd.get()) == 0)
        return fail(path + ": not a terminal");
    return Tty{std::move(fd)};
}

Size Tty::size() const noexcept {
    winsize size{};
    if (ioctl(fd_.get(), TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
        return {};
    return {.columns = size.ws_col, .rows = size.ws_row};
}

void Tty::silence() const noexcept {
    termios settings{};
    constexpr tcflag_t loud = ECHO | ECHONL | ICANON | ISIG | IEXTEN;
    if (tcgetattr(fd_.get(), &settings) != 0 || (settings.c_lflag & loud) == 0)
        return;
    settings.c_lflag &= ~loud;
    settings.c_iflag &= ~static_cast<tcflag_t>(IXON | ISTRIP | INLCR | IGNCR);
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    tcsetattr(fd_.get(), TCSANOW, &settings);
}

void Tty::write(std::string_view text) const noexcept {
    const BootTime deadline = base::read_boot_time() + Seconds{1};
    while (!text.empty()) {
        const ssize_t n = ::write(fd_.get(), text.data(), text.size());
        if (n > 0) {
            text.remove_prefix(static_cast<std::size_t>(n));
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return;
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline - base::read_boot_time());
        if (left.count() <= 0)
            return;
        pollfd waited{.fd = fd_.get(), .events = POLLOUT, .revents = 0};
        poll(&waited, 1, static_cast<int>(left.count()));
        if ((waited.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
            return;
    }
}

Tty::Heard Tty::wait(std::optional<Microseconds> patience, bool keys) const noexcept {
    const BootTime deadline = base::read_boot_time() + patience.value_or(Microseconds{0});
    while (true) {
        int timeout = -1;
        if (patience) {
            const auto left =
                std::chrono::ceil<std::chrono::milliseconds>(deadline - base::read_boot_time());
            timeout = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
        }
        pollfd waited{
            .fd = fd_.get(), .events = static_cast<short>(keys ? POLLIN : 0), .revents = 0};
        const int ready = poll(&waited, 1, timeout);
        if (ready == 0)
            return Heard::silence;
        if (ready < 0 && errno != EINTR)
            return Heard::hung_up;
        if ((waited.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
            return Heard::hung_up;
        if ((waited.revents & POLLIN) != 0)
            return Heard::input;
    }
}

std::optional<std::string_view> Tty::read(char* buffer, std::size_t size) const noexcept {
    const ssize_t n = ::read(fd_.get(), buffer, size);
    if (n > 0)
        return std::string_view{buffer, static_cast<std::size_t>(n)};
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return std::string_view{};
    return std::nullopt; // 0: hung up between poll and here
}

void Tty::flush() const noexcept {
    tcflush(fd_.get(), TCIFLUSH);
}

} // namespace vigil::terminal
