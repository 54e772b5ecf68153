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

namespace {

constexpr tcflag_t loud = ECHO | ECHONL | ICANON | ISIG | IEXTEN;
constexpr tcflag_t plain_output = OPOST | ONLCR;

bool is_loud(const termios& settings) noexcept {
    return (settings.c_lflag & loud) != 0 || settings.c_oflag != plain_output;
}

} // namespace

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

bool Tty::is_silent() const noexcept {
    termios settings{};
    return tcgetattr(fd_.get(), &settings) != 0 || !is_loud(settings);
}

void Tty::silence() const noexcept {
    tcflow(fd_.get(), TCOON);
    termios settings{};
    if (tcgetattr(fd_.get(), &settings) != 0 || !is_loud(settings))
        return;
    settings.c_oflag = plain_output;
    settings.c_lflag &= ~loud;
    settings.c_iflag &= ~static_cast<tcflag_t>(IXON | ISTRIP | INLCR | IGNCR);
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    tcsetattr(fd_.get(), TCSANOW, &settings);
}

std::size_t Tty::write(std::string_view text) const noexcept {
    const BootTime deadline = base::read_boot_time() + Seconds{1};
    std::size_t taken = 0;
    while (taken < text.size()) {
        const ssize_t n = ::write(fd_.get(), text.data() + taken, text.size() - taken);
        if (n > 0) {
            taken += static_cast<std::size_t>(n);
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            break;
        const int left = base::milliseconds_until(deadline);
        if (left == 0)
            break;
        pollfd waited{.fd = fd_.get(), .events = POLLOUT, .revents = 0};
        poll(&waited, 1, left);
        if ((waited.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
            break;
    }
    return taken;
}

Tty::Heard Tty::wait(std::optional<Microseconds> patience, For what) const noexcept {
    const short events = what == For::hang_up ? 0 : what == For::keys ? POLLIN : POLLIN | POLLOUT;
    const BootTime deadline = base::read_boot_time() + patience.value_or(Microseconds{0});
    while (true) {
        pollfd waited{.fd = fd_.get(), .events = events, .revents = 0};
        const int ready = poll(&waited, 1, patience ? base::milliseconds_until(deadline) : -1);
        if (ready == 0)
            return Heard::silence;
        if (ready < 0 && errno != EINTR)
            return Heard::hung_up;
        if ((waited.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
            return Heard::hung_up;
        if ((waited.revents & POLLIN) != 0)
            return Heard::input;
        if ((waited.revents & POLLOUT) != 0)
            return Heard::room;
    }
}

std::optional<std::string_view> Tty::read(char* buffer, std::size_t size) const noexcept {
    const ssize_t n = ::read(fd_.get(), buffer, size);
    if (n > 0)
        return std::string_view{buffer, static_cast<std::size_t>(n)};
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return std::string_view{};
    // 0: hung up between poll and here; or somebody who has the terminal open has set that a key
    // ends the file.
    pollfd waited{.fd = fd_.get(), .events = 0, .revents = 0};
    if (n == 0 && poll(&waited, 1, 0) == 0)
        return std::string_view{};
    return std::nullopt;
}

void Tty::flush() const noexcept {
    tcflush(fd_.get(), TCIFLUSH);
}

} // namespace vigil::terminal
