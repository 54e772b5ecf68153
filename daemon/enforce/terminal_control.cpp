#include "base/log.hpp"
#include "base/process.hpp"
#include "daemon/enforce/aside.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/enforce/terminal_file.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

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
    ::cfmakeraw(&settings);
    settings.c_lflag = 0;
    settings.c_cflag |= CREAD;
    // Nothing of what was there: with OLCUC no sequence of the prompt's would be one.
    settings.c_oflag = OPOST | ONLCR;
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

/// Undoes TCOOFF, which any program that has the terminal open may have asked for. What Ctrl-S has
/// stopped goes on as IXON is taken away.
void start_output(int fd) noexcept {
    ::tcflow(fd, TCOON);
}

/// The node first: give_back() knows by it that there is something to give back.
Result<> take_open(int fd, const std::string& path, const termios& settings) {
    struct stat node{};
    if (::fstat(fd, &node) < 0)
        return fail(errno, "looking at " + path);
    // The owner before the mode, which its owner could change back. The group stays tty.
    if (!is_taken(node) && (::fchown(fd, 0, gid_t(-1)) < 0 || ::fchmod(fd, taken_mode) < 0))
        return fail(errno, "taking " + path);
    ::ioctl(fd, TIOCNXCL); // a program that has it to itself keeps vigild from it, too
    start_output(fd);
    return write_settings(fd, path, taken_settings(settings));
}

/// Where the terminal did not say which screen it was on: programs that draw the whole of it turn
/// off the newline's carriage return, shells do not.
bool looks_alternate(const termios& settings) noexcept {
    return (settings.c_oflag & OPOST) == 0 || (settings.c_oflag & ONLCR) == 0;
}

/// Back to the screen there was, and its cursor. A program that has the alternate one draws it anew
/// at SIGWINCH, and need not hide the cursor again. (console_codes(4), xterm's ctlseqs: 1049, 25.)
std::string screen_for(const core::SavedTerminal& before, const termios& settings) {
    if (before.screen == core::Screen::plain)
        return "\r\n";
    const bool alternate = before.screen == core::Screen::alternate ||
                           (before.screen != core::Screen::main && looks_alternate(settings));
    // Cleared before it is left: a terminal without a second screen (the Linux console) would keep
    // the prompt.
    std::string text{alternate ? "\x1b[0m\x1b[?1049h\x1b[2J\x1b[H"
                               : "\x1b[0m\x1b[2J\x1b[H\x1b[?1049l"};
    return text += before.cursor == core::Cursor::hidden ? "\x1b[?25l" : "\x1b[?25h";
}

/// The main screen, whatever program had the other.
constexpr std::string_view main_screen = "\x1b[0m\x1b[?1049l\x1b[?25h";

bool is_gone_terminal(const Error& error) noexcept {
    return error.code == ENOENT || error.code == EIO;
}

// What follows is done aside: at a terminal all but closing a copy of it can wait for a user.

/// What is read of a terminal at once.
struct State {
    uid_t uid;
    gid_t gid;
    mode_t mode;
    termios settings;
};

struct Opened {
    base::UniqueFd fd;
    struct stat node;
};

Result<Opened> open_and_look(const std::string& path, std::uint64_t device,
                             const std::string& scope) {
    auto fd = open_terminal(path, device, scope);
    if (!fd)
        return std::unexpected{fd.error()};
    Opened opened{.fd = std::move(*fd), .node = {}};
    if (::fstat(opened.fd.get(), &opened.node) < 0)
        return fail(errno, "looking at " + path);
    return opened;
}

Result<std::string> read_state(const Terminal& terminal, const std::string& scope) {
    const auto opened = open_and_look(terminal.path, terminal.device, scope);
    if (!opened)
        return std::unexpected{opened.error()};
    const auto settings = read_settings(opened->fd.get(), terminal.path);
    if (!settings)
        return std::unexpected{settings.error()};
    const State state{.uid = opened->node.st_uid,
                      .gid = opened->node.st_gid,
                      .mode = opened->node.st_mode & 07777,
                      .settings = *settings};
    return std::string{reinterpret_cast<const char*>(&state), sizeof state};
}

Result<> take_here(const core::SavedTerminal& terminal, const std::string& scope) {
    const auto fd = open_terminal(terminal.path, terminal.device, scope);
    if (!fd)
        return std::unexpected{fd.error()};
    const auto settings = from_bytes(terminal.settings);
    if (!settings)
        return std::unexpected{settings.error()};
    return take_open(fd->get(), terminal.path, *settings);
}

/// "": they are those that take() set.
Result<std::string> retake_here(const core::SavedTerminal& terminal, const std::string& scope) {
    const auto fd = open_terminal(terminal.path, terminal.device, scope);
    if (!fd)
        return std::unexpected{fd.error()};
    const auto saved = from_bytes(terminal.settings);
    if (!saved)
        return std::unexpected{saved.error()};
    const auto current = read_settings(fd->get(), terminal.path);
    if (!current)
        return std::unexpected{current.error()};
    start_output(fd->get());
    if (same_settings(*current, taken_settings(*saved)))
        return "";
    if (const auto taken = take_open(fd->get(), terminal.path, *current); !taken)
        return std::unexpected{taken.error()};
    return to_bytes(*current);
}

Result<> set_mode(int fd, const core::SavedTerminal& terminal) {
    return ::fchmod(fd, terminal.mode) < 0 ? fail(errno, "giving back " + terminal.path)
                                           : Result<>{};
}

Result<> give_back_here(const core::SavedTerminal& terminal, const std::string& scope) {
    const auto opened = open_and_look(terminal.path, terminal.device, scope);
    if (!opened)
        return is_gone_terminal(opened.error()) ? Result<>{} : std::unexpected{opened.error()};
    const auto& [fd, node] = *opened;
    // Given back before but for this.
    if (node.st_uid == terminal.uid && (node.st_mode & 0777) == taken_mode && !is_taken(node))
        return set_mode(fd.get(), terminal);
    // Given back before, or a new terminal under the old number: not ours to change.
    if (!is_taken(node) && (node.st_uid != 0 || terminal.uid == 0))
        return {};
    const auto settings = from_bytes(terminal.settings);
    if (!settings)
        return std::unexpected{settings.error()};
    ::tcflush(fd.get(), TCIFLUSH);
    start_output(fd.get());
    // The prompt's screen goes before anything of the session can draw again. A terminal that takes
    // no more output (Ctrl-S at the far end) is given back all the same.
    const auto screen = screen_for(terminal, *settings);
    if (!may_block(fd.get()))
        (void)!::write(fd.get(), screen.data(), screen.size());
    if (const auto written = write_settings(fd.get(), terminal.path, *settings); !written)
        return is_gone_terminal(written.error()) ? Result<>{} : written;
    ::tcflush(fd.get(), TCIFLUSH); // what came before the settings did would be a line now
    if (::fchown(fd.get(), terminal.uid, terminal.gid) < 0)
        return fail(errno, "giving back " + terminal.path);
    return set_mode(fd.get(), terminal);
}

Result<> set_back_here(const core::SavedTerminal& terminal, const std::string& scope) {
    const auto fd = open_terminal(terminal.path, terminal.device, scope);
    if (!fd)
        return is_gone_terminal(fd.error()) ? Result<>{} : std::unexpected{fd.error()};
    const auto settings = from_bytes(terminal.settings);
    if (!settings)
        return std::unexpected{settings.error()};
    start_output(fd->get());
    const auto written = write_settings(fd->get(), terminal.path, *settings);
    return !written && is_gone_terminal(written.error()) ? Result<>{} : written;
}

Result<> leave_here(const core::SavedTerminal& terminal) {
    const auto opened = open_and_look(terminal.path, terminal.device, {});
    if (!opened)
        return is_gone_terminal(opened.error()) ? Result<>{} : std::unexpected{opened.error()};
    const auto& [fd, node] = *opened;
    const auto before = from_bytes(terminal.settings);
    const auto now = read_settings(fd.get(), terminal.path);
    if (!before || !now)
        return std::unexpected{before ? now.error() : before.error()};
    // Else getty has it already, or root.
    if (!is_taken(node) || !same_settings(*now, taken_settings(*before)))
        return {};
    const auto fresh = as_new(terminal, 0);
    ::tcflush(fd.get(), TCIFLUSH);
    start_output(fd.get());
    if (const auto written = write_settings(fd.get(), terminal.path, *from_bytes(fresh.settings));
        !written)
        return is_gone_terminal(written.error()) ? Result<>{} : written;
    return set_mode(fd.get(), fresh);
}

Result<> say_here(const Terminal& terminal, const std::string& line, bool leaves) {
    const auto fd = open_terminal(terminal.path, terminal.device);
    if (!fd)
        return std::unexpected{fd.error()};
    std::string text{leaves ? main_screen : ""};
    text += "\r\nvigil: " + base::escape(line) + "\r\n";
    if (::write(fd->get(), text.data(), text.size()) < 0 && errno != EAGAIN)
        return fail(errno, "writing to " + terminal.path);
    return {};
}

} // namespace

bool is_taken(const core::SavedTerminal& terminal) noexcept {
    return terminal.uid == 0 && terminal.mode == taken_mode;
}

bool is_taken_from(const core::SavedTerminal& terminal,
                   const core::SavedTerminal& before) noexcept {
    const auto settings = from_bytes(terminal.settings);
    const auto other = from_bytes(before.settings);
    return is_taken(terminal) && settings && other &&
           same_settings(*settings, taken_settings(*other));
}

bool is_silent(const core::SavedTerminal& terminal) noexcept {
    const auto settings = from_bytes(terminal.settings);
    return settings && (settings->c_lflag & (ISIG | ICANON | ECHO)) == 0;
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

Result<core::SavedTerminal> save(const core::SessionId& session, const Terminal& terminal,
                                 const std::string& scope, uid_t owner) {
    const auto bytes = aside(culprit(terminal.path, owner), "looking at " + terminal.path,
                             [&] { return read_state(terminal, scope); });
    if (!bytes)
        return std::unexpected{bytes.error()};
    State state{};
    if (bytes->size() != sizeof state)
        return fail(EBADMSG, "looking at " + terminal.path);
    std::memcpy(&state, bytes->data(), sizeof state);
    return core::SavedTerminal{.session = session,
                               .path = terminal.path,
                               .device = terminal.device,
                               .settings = to_bytes(state.settings),
                               .uid = state.uid,
                               .gid = state.gid,
                               .mode = state.mode};
}

bool is_drawn_on(const Terminal& terminal, const std::string& scope) {
    const auto now = save({}, terminal, scope);
    const auto settings = now ? from_bytes(now->settings) : std::unexpected{now.error()};
    return settings && looks_alternate(*settings);
}

Result<> take(const core::SavedTerminal& terminal, const std::string& scope) {
    return do_aside(culprit(terminal.path, terminal.uid), "taking " + terminal.path,
                    [&] { return take_here(terminal, scope); });
}

Result<std::optional<std::string>> retake(const core::SavedTerminal& terminal,
                                          const std::string& scope) {
    auto changed = aside(culprit(terminal.path, terminal.uid), "taking " + terminal.path,
                         [&] { return retake_here(terminal, scope); });
    if (!changed)
        return std::unexpected{changed.error()};
    if (changed->empty())
        return std::nullopt;
    return std::move(*changed);
}

Result<> give_back(const core::SavedTerminal& terminal, const std::string& scope) {
    return do_aside(culprit(terminal.path, terminal.uid), "giving back " + terminal.path,
                    [&] { return give_back_here(terminal, scope); });
}

Result<> set_back(const core::SavedTerminal& terminal, const std::string& scope) {
    return do_aside(culprit(terminal.path, terminal.uid), "setting back " + terminal.path,
                    [&] { return set_back_here(terminal, scope); });
}

Result<> leave(const core::SavedTerminal& terminal) {
    if (has_pty_node({terminal.path, terminal.device}))
        return {};
    return do_aside(culprit(terminal.path), "giving back " + terminal.path,
                    [&] { return leave_here(terminal); });
}

Result<> say(const Terminal& terminal, const std::string& line, bool leaves) {
    return do_aside(culprit(terminal.path), "writing to " + terminal.path,
                    [&] { return say_here(terminal, line, leaves); });
}

BootTime latest_input(const Terminal& terminal, const Now& now) {
    struct stat node{};
    if (::stat(terminal.path.c_str(), &node) < 0 || node.st_rdev != terminal.device)
        return BootTime{};
    constexpr std::int64_t seconds = input_step.count();
    const std::int64_t step = (node.st_atim.tv_sec / seconds + 1) * seconds;
    // A wall clock that was set back shows reads in the future: then it was at most now.
    return std::min(now.boot, now.boot - (now.wall - WallTime{Seconds{step}}));
}

} // namespace vigil::enforce
