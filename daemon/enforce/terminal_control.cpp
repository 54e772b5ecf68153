#include "base/log.hpp"
#include "base/process.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/enforce/terminal_file.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/ttydefaults.h>
#include <termios.h>
#include <unistd.h>

namespace vigil::enforce {

namespace {

constexpr mode_t taken_mode = 0600;
constexpr mode_t login_mode = 0620; ///< write(1) may
/// As the kernel sets them for a new terminal (ttydefaults.h).
constexpr std::pair<int, cc_t> login_keys[] = {
    {VINTR, CINTR}, {VQUIT, CQUIT},     {VERASE, CERASE}, {VKILL, CKILL},      {VEOF, CEOF},
    {VMIN, CMIN},   {VSTART, CSTART},   {VSTOP, CSTOP},   {VSUSP, CSUSP},      {VREPRINT, CREPRINT},
    {VTIME, CTIME}, {VWERASE, CWERASE}, {VLNEXT, CLNEXT}, {VDISCARD, CDISCARD}};
/// The kernel shows reads of a terminal in steps of so many seconds.
constexpr std::int64_t atime_step = 8;

Result<termios> read_settings(int fd, const std::string& path) {
    termios settings{};
    if (::tcgetattr(fd, &settings) < 0)
        return fail(errno, "reading the settings of " + path);
    return settings;
}

/// TCSANOW: the other two wait for the output to drain, which a client that is gone never reads.
Result<> write_settings(int fd, const std::string& path, const termios& settings) {
    if (::tcsetattr(fd, TCSANOW, &settings) < 0)
        return fail(errno, "changing the settings of " + path);
    return {};
}

std::string to_bytes(const termios& settings) {
    return {reinterpret_cast<const char*>(&settings), sizeof settings};
}

Result<termios> from_bytes(const std::string& bytes) {
    termios settings{};
    if (bytes.size() != sizeof settings)
        return fail(EBADMSG, "settings of a terminal");
    std::memcpy(&settings, bytes.data(), sizeof settings);
    return settings;
}

/// What take() sets: nothing typed is echoed, makes a signal, stops the output or is edited. Lines
/// that are written still end at the left edge.
termios taken_settings(termios settings) noexcept {
    const tcflag_t output = settings.c_oflag;
    ::cfmakeraw(&settings);
    settings.c_lflag = 0;
    settings.c_cflag |= CREAD;
    settings.c_oflag = output | OPOST | ONLCR;
    settings.c_cc[VMIN] = 1;
    settings.c_cc[VTIME] = 0;
    return settings;
}

bool same_settings(const termios& one, const termios& other) noexcept {
    return one.c_iflag == other.c_iflag && one.c_oflag == other.c_oflag &&
           one.c_cflag == other.c_cflag && one.c_lflag == other.c_lflag &&
           std::equal(std::begin(one.c_cc), std::end(one.c_cc), std::begin(other.c_cc));
}

bool is_taken(const struct stat& node) noexcept {
    return node.st_uid == 0 && (node.st_mode & 0777) == taken_mode;
}

/// The node first: give_back() knows by it that there is something to give back.
Result<> take_open(int fd, const std::string& path, const termios& settings) {
    struct stat node{};
    if (::fstat(fd, &node) < 0)
        return fail(errno, "looking at " + path);
    // The owner before the mode, which its owner could change back. The group stays tty.
    if (!is_taken(node) && (::fchown(fd, 0, gid_t(-1)) < 0 || ::fchmod(fd, taken_mode) < 0))
        return fail(errno, "taking " + path);
    // Else not even the prompt could open it; that it is not exclusive may be refused to us.
    ::ioctl(fd, TIOCNXCL);
    ::tcflow(fd, TCOON); // an application may have stopped the output, and cannot start it now
    return write_settings(fd, path, taken_settings(settings));
}

/// Programs that draw the whole screen turn off the newline's carriage return, shells do not: the
/// screen they drew on is the alternate one, and they draw it anew at SIGWINCH. (console_codes(4),
/// xterm's ctlseqs: 1049.)
std::string_view screen_for(const termios& settings) noexcept {
    const bool full_screen = (settings.c_oflag & OPOST) == 0 || (settings.c_oflag & ONLCR) == 0;
    // Cleared before it is left: a terminal without a second screen (the Linux console) would keep
    // the prompt.
    return full_screen ? "\x1b[0m\x1b[?1049h\x1b[2J\x1b[H\x1b[?25h"
                       : "\x1b[0m\x1b[2J\x1b[H\x1b[?1049l\x1b[?25h";
}

/// The main screen, whatever program had the other.
constexpr std::string_view main_screen = "\x1b[0m\x1b[?1049l\x1b[?25h";

bool is_gone_terminal(const Error& error) noexcept {
    return error.code == ENOENT || error.code == EIO;
}

} // namespace

Result<base::UniqueFd> open_terminal(const std::string& path, std::uint64_t device) {
    if (!path.starts_with("/dev/") || (path + "/").find("/../") != path.npos)
        return fail(EINVAL, "no terminal's path: " + path);
    base::UniqueFd fd{
        ::open(path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)};
    if (!fd) // EIO and ENXIO: its other end is closed
        return fail(errno == EIO || errno == ENXIO ? ENOENT : errno, "opening " + path);
    struct stat node{};
    if (::fstat(fd.get(), &node) < 0)
        return fail(errno, "looking at " + path);
    if (!S_ISCHR(node.st_mode) || node.st_rdev != device)
        return fail(ENOENT, path + " is another device now");
    return fd;
}

Result<core::SavedTerminal> save(const core::SessionId& session, const Terminal& terminal) {
    const auto fd = open_terminal(terminal.path, terminal.device);
    if (!fd)
        return std::unexpected{fd.error()};
    struct stat node{};
    if (::fstat(fd->get(), &node) < 0)
        return fail(errno, "looking at " + terminal.path);
    const auto settings = read_settings(fd->get(), terminal.path);
    if (!settings)
        return std::unexpected{settings.error()};
    return core::SavedTerminal{.session = session,
                               .path = terminal.path,
                               .device = terminal.device,
                               .settings = to_bytes(*settings),
                               .uid = node.st_uid,
                               .gid = node.st_gid,
                               .mode = node.st_mode & 07777};
}

bool is_taken(const core::SavedTerminal& terminal) noexcept {
    return terminal.uid == 0 && terminal.mode == taken_mode;
}

core::SavedTerminal as_new(core::SavedTerminal terminal, uid_t owner) {
    auto settings = from_bytes(terminal.settings).value_or(termios{});
    settings.c_iflag = ICRNL | IXON | IUTF8;
    settings.c_oflag = OPOST | ONLCR;
    settings.c_lflag = ISIG | ICANON | IEXTEN | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE;
    std::ranges::fill(settings.c_cc, cc_t{_POSIX_VDISABLE});
    for (const auto& [key, character] : login_keys)
        settings.c_cc[key] = character;
    terminal.settings = to_bytes(settings);
    terminal.uid = owner;
    terminal.mode = login_mode;
    return terminal;
}

Result<> take(const core::SavedTerminal& terminal) {
    const auto fd = open_terminal(terminal.path, terminal.device);
    if (!fd)
        return std::unexpected{fd.error()};
    const auto settings = from_bytes(terminal.settings);
    if (!settings)
        return std::unexpected{settings.error()};
    return take_open(fd->get(), terminal.path, *settings);
}

Result<std::optional<std::string>> retake(const core::SavedTerminal& terminal) {
    const auto fd = open_terminal(terminal.path, terminal.device);
    if (!fd)
        return std::unexpected{fd.error()};
    const auto saved = from_bytes(terminal.settings);
    if (!saved)
        return std::unexpected{saved.error()};
    const auto current = read_settings(fd->get(), terminal.path);
    if (!current)
        return std::unexpected{current.error()};
    if (same_settings(*current, taken_settings(*saved)))
        return std::nullopt;
    if (const auto taken = take_open(fd->get(), terminal.path, *current); !taken)
        return std::unexpected{taken.error()};
    return to_bytes(*current);
}

Result<> give_back(const core::SavedTerminal& terminal) {
    const auto fd = open_terminal(terminal.path, terminal.device);
    if (!fd)
        return is_gone_terminal(fd.error()) ? Result<>{} : std::unexpected{fd.error()};
    struct stat node{};
    if (::fstat(fd->get(), &node) < 0)
        return fail(errno, "looking at " + terminal.path);
    // Given back before, or a new terminal under the old number: not ours to change.
    if (!is_taken(node))
        return {};
    const auto settings = from_bytes(terminal.settings);
    if (!settings)
        return std::unexpected{settings.error()};
    ::tcflush(fd->get(), TCIFLUSH);
    // The prompt's screen goes before anything of the session can draw again. A terminal that takes
    // no more output (Ctrl-S at the far end) is given back all the same.
    const auto screen = screen_for(*settings);
    (void)!::write(fd->get(), screen.data(), screen.size());
    if (const auto written = write_settings(fd->get(), terminal.path, *settings); !written)
        return is_gone_terminal(written.error()) ? Result<>{} : written;
    ::tcflush(fd->get(), TCIFLUSH); // what came before the settings did would be a line now
    if (::fchown(fd->get(), terminal.uid, terminal.gid) < 0 ||
        ::fchmod(fd->get(), terminal.mode) < 0)
        return fail(errno, "giving back " + terminal.path);
    return {};
}

Result<> say(const Terminal& terminal, const std::string& line, bool last) {
    const auto fd = open_terminal(terminal.path, terminal.device);
    if (!fd)
        return std::unexpected{fd.error()};
    std::string text{last ? main_screen : ""};
    text += "\r\nvigil: " + base::escape(line) + "\r\n";
    if (::write(fd->get(), text.data(), text.size()) < 0 && errno != EAGAIN)
        return fail(errno, "writing to " + terminal.path);
    return {};
}

BootTime latest_input(const Terminal& terminal, const Now& now) {
    struct stat node{};
    if (::stat(terminal.path.c_str(), &node) < 0 || node.st_rdev != terminal.device)
        return BootTime{};
    const std::int64_t step = (node.st_atim.tv_sec / atime_step + 1) * atime_step;
    // A wall clock that was set back shows reads in the future: then it was at most now.
    return std::min(now.boot, now.boot - (now.wall - WallTime{Seconds{step}}));
}

} // namespace vigil::enforce
