#include "daemon/enforce/console.hpp"

#include "base/console.hpp"
#include "daemon/enforce/prompt.hpp"
#include "daemon/enforce/terminal_file.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <linux/kd.h>
#include <linux/vt.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

namespace vigil::enforce {

namespace {

/// A lock console stands where no function key leads to by mistake and logind starts no login
/// (NAutoVTs). Beyond the last of these VT_GETSTATE does not tell whether a console is in use.
constexpr unsigned first_lock_console = 13;
constexpr unsigned last_told_console = 15;
/// A switch is done by the kernel's worker, which takes 5 ms at the most where nothing else runs.
constexpr int switch_looks = 400;
constexpr useconds_t switch_pause = 250;
/// What a switch that somebody else began at the same time may cost.
constexpr int switch_attempts = 3;
/// A console stays busy until its prompt has ended.
constexpr int free_attempts = 40;
constexpr useconds_t free_pause = 500;
constexpr mode_t lock_console_mode = 0600;
/// Screen and scrollback (console_codes(4)).
constexpr std::string_view wiped = "\x1b[0m\x1b[H\x1b[2J\x1b[3J";
/// All but the line that the cursor is in.
constexpr std::string_view wiped_around = "\x1b[0m\x1b[J\x1b[s\x1b[A\x1b[999C\x1b[1J\x1b[u";
/// As agetty(8) asks, which is told of no locale at a console.
constexpr std::string_view login_prompt = "login:";

struct Modes {
    int display = KD_TEXT;
    int keyboard = K_UNICODE;
    vt_mode switching{};

    bool is_shut() const noexcept {
        return display == KD_GRAPHICS && keyboard == K_OFF && !is_decided_by_a_program();
    }
    /// Ours says nothing to whoever decides: see bring_to_front().
    bool is_decided_by_a_program() const noexcept {
        return switching.mode == VT_PROCESS && switching.relsig != 0;
    }
    bool has_desktop() const noexcept {
        return (display != KD_TEXT || is_decided_by_a_program()) && !is_shut();
    }
};

Result<base::UniqueFd> open_number(unsigned number) {
    const Terminal terminal = console(number);
    return open_terminal(terminal.path, terminal.device);
}

std::unexpected<Error> failed(const char* doing, unsigned number) {
    return fail(errno, std::string{doing} + " /dev/tty" + std::to_string(number));
}

Result<Modes> read_modes(int fd, unsigned number) {
    Modes modes;
    if (::ioctl(fd, KDGETMODE, &modes.display) < 0 || ::ioctl(fd, KDGKBMODE, &modes.keyboard) < 0 ||
        ::ioctl(fd, VT_GETMODE, &modes.switching) < 0)
        return failed("reading the state of", number);
    return modes;
}

/// 0 where the kernel does not tell: then none of ours is.
unsigned front(int fd) noexcept {
    vt_stat state{};
    return ::ioctl(fd, VT_GETSTATE, &state) < 0 ? 0 : state.v_active;
}

Result<unsigned> find_free(int fd, const std::vector<unsigned>& avoid) {
    vt_stat state{};
    if (::ioctl(fd, VT_GETSTATE, &state) < 0)
        return fail(errno, "looking for a free console");
    for (unsigned number = first_lock_console; number <= last_told_console; ++number)
        if ((state.v_state & (1U << number)) == 0 && !std::ranges::count(avoid, number))
            return number;
    int lowest = -1;
    if (::ioctl(fd, VT_OPENQRY, &lowest) < 0)
        return fail(errno, "looking for a free console");
    if (lowest < 1 || std::ranges::count(avoid, static_cast<unsigned>(lowest)))
        return fail(ENOSPC, "all consoles are in use");
    return static_cast<unsigned>(lowest);
}

/// VT_AUTO or VT_PROCESS, without a signal; false: errno says why not.
bool set_switching(int fd, char mode) noexcept {
    vt_mode switching{};
    switching.mode = mode;
    return ::ioctl(fd, VT_SETMODE, &switching) == 0;
}

/// From `from`, which is in front. A console that shows graphics is left only by the word of the
/// program that decides about it; for a moment that is this one. It asks for no signal and gives
/// its word without one.
Result<> bring_to_front(int from, unsigned number, unsigned to) {
    ::ioctl(from, VT_UNLOCKSWITCH, 1);
    if (!set_switching(from, VT_PROCESS))
        return failed("leaving", number);
    for (int attempt = 0; attempt < switch_attempts && front(from) == number; ++attempt) {
        if (::ioctl(from, VT_ACTIVATE, to) < 0)
            break;
        for (int look = 0; look < switch_looks && ::ioctl(from, VT_RELDISP, 1) < 0; ++look)
            ::usleep(switch_pause);
    }
    set_switching(from, VT_AUTO);
    if (front(from) != to)
        return fail(EBUSY, "the kernel does not switch from tty" + std::to_string(number) +
                               " to tty" + std::to_string(to));
    return {};
}

/// As a program that had it may have left it too: nothing else would be seen and typed at there.
Result<> make_lock_console(unsigned number) {
    const auto fd = open_number(number);
    if (!fd)
        return std::unexpected{fd.error()};
    if (::fchown(fd->get(), 0, gid_t(-1)) < 0 || ::fchmod(fd->get(), lock_console_mode) < 0)
        return failed("taking", number);
    if (!set_switching(fd->get(), VT_AUTO) || ::ioctl(fd->get(), KDSETMODE, KD_TEXT) < 0 ||
        ::ioctl(fd->get(), KDSKBMODE, K_UNICODE) < 0)
        return failed("making a text console of", number);
    return {};
}

/// Best effort: a console that nobody has open is free in any case, and its screen was wiped.
void free_console(int fd, unsigned number) noexcept {
    for (int attempt = 0; ::ioctl(fd, VT_DISALLOCATE, number) < 0 && errno == EBUSY; ++attempt) {
        if (attempt == free_attempts)
            return;
        ::usleep(free_pause);
    }
}

/// What is to be written down before anything is touched.
Result<core::SavedTerminal> plan(int fd, unsigned number, const LockTarget& target,
                                 const Terminal& terminal) {
    const auto modes = read_modes(fd, number);
    if (!modes)
        return std::unexpected{modes.error()};
    auto state = save(target.session, terminal, target.scope);
    if (!state)
        return state;
    if (modes->is_shut()) { // by a lock of which the store knows no more
        state->keyboard_mode = K_UNICODE;
        const auto place = place_of_prompt(target.session, terminal.path);
        state->lock_console = place ? base::virtual_console(*place) : 0;
        if (state->lock_console != 0 && state->lock_console != number)
            return state;
    } else if (modes->has_desktop()) {
        return fail(EBUSY, "a program has taken the console " + terminal.path);
    } else {
        // A text console that hears nothing is nobody's wish: a program that began under a lock has
        // put back what it found.
        state->keyboard_mode =
            modes->keyboard == K_OFF ? K_UNICODE : static_cast<std::uint32_t>(modes->keyboard);
    }
    const auto found = find_free(fd, target.other_lock_consoles);
    if (!found)
        return std::unexpected{found.error()};
    state->lock_console = *found;
    return state;
}

/// Deaf first: nothing that is typed from then on reaches the session. Blind last, behind the lock
/// console, so that the screen does not flicker.
Result<> shut(int fd, unsigned number, const core::SavedTerminal& state) {
    const auto modes = read_modes(fd, number);
    if (!modes)
        return std::unexpected{modes.error()};
    if (modes->is_decided_by_a_program())
        return fail(EBUSY, "a program decides about switching at " + state.path);
    if (const auto made = make_lock_console(state.lock_console); !made)
        return made;
    if (::ioctl(fd, KDSKBMODE, K_OFF) < 0)
        return failed("taking the keyboard from", number);
    if (front(fd) == number)
        if (const auto moved = bring_to_front(fd, number, state.lock_console); !moved)
            return moved;
    if (::ioctl(fd, KDSETMODE, KD_GRAPHICS) < 0)
        return failed("hiding the screen of", number);
    return {};
}

Result<> open_again(int fd, unsigned number, const core::SavedTerminal& saved) {
    const auto modes = read_modes(fd, number);
    if (!modes)
        return std::unexpected{modes.error()};
    // K_OFF alone: a crash between the two. Neither: given back before, or another login's by now.
    if (modes->keyboard == K_OFF && !modes->is_decided_by_a_program() &&
        ::ioctl(fd, KDSKBMODE, saved.keyboard_mode) < 0)
        return failed("giving the keyboard back to", number);
    if (modes->display == KD_GRAPHICS && !modes->is_decided_by_a_program() &&
        ::ioctl(fd, KDSETMODE, KD_TEXT) < 0)
        return failed("showing the screen of", number);
    return {};
}

/// The line that the cursor is in, as it is seen (vcs(4)); "" where that cannot be read.
std::string line_of_cursor(unsigned number) {
    const std::string path = "/dev/vcsa" + std::to_string(number);
    const base::UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    struct {
        std::uint8_t lines, columns, x, y;
    } head{};
    if (!fd || ::pread(fd.get(), &head, sizeof head, 0) != sizeof head)
        return {};
    std::vector<std::uint16_t> cells(head.columns); // a letter and its colours each
    const auto size = cells.size() * sizeof cells[0];
    if (::pread(fd.get(), cells.data(), size, static_cast<off_t>(sizeof head + head.y * size)) !=
        static_cast<ssize_t>(size))
        return {};
    std::string line;
    for (const auto cell : cells)
        line += static_cast<char>(cell & 0xff);
    return line;
}

Result<> leave_lock_console(const core::SavedTerminal& saved, unsigned number) {
    const auto fd = open_number(saved.lock_console);
    if (!fd)
        return fd.error().code == ENOENT ? Result<>{} : std::unexpected{fd.error()};
    (void)!::write(fd->get(), wiped.data(), wiped.size());
    if (front(fd->get()) != saved.lock_console)
        return {};
    return bring_to_front(fd->get(), saved.lock_console, number);
}

} // namespace

Terminal console(unsigned number) {
    return {.path = "/dev/tty" + std::to_string(number),
            .device = base::virtual_console_device(number)};
}

Result<unsigned> free_lock_console() {
    auto fd = open_number(0); // the one in front, whichever that is
    if (!fd && fd.error().code == ENOENT)
        fd = open_number(1);
    if (!fd)
        return fd.error().code == ENOENT ? Result<unsigned>{0} : std::unexpected{fd.error()};
    return find_free(fd->get(), {});
}

bool is_shut(const Terminal& terminal) {
    const unsigned number = base::virtual_console(terminal.device);
    if (number == 0)
        return false;
    const auto fd = open_terminal(terminal.path, terminal.device);
    if (!fd)
        return false;
    const auto modes = read_modes(fd->get(), number);
    return modes && modes->is_shut();
}

bool has_desktop(const Terminal& terminal, const std::string& scope) {
    const unsigned number = base::virtual_console(terminal.device);
    if (number == 0)
        return false;
    const auto fd = open_terminal(terminal.path, terminal.device, scope);
    if (!fd)
        return false;
    const auto modes = read_modes(fd->get(), number);
    return modes && modes->has_desktop();
}

Result<core::SavedTerminal> hold_at_console(const LockTarget& target, const Terminal& terminal,
                                            const core::SavedTerminal* known,
                                            const SaveTerminal& save) {
    const unsigned number = base::virtual_console(terminal.device);
    const auto fd = open_terminal(terminal.path, terminal.device, target.scope);
    if (!fd)
        return std::unexpected{fd.error()};
    auto state = known ? *known : plan(fd->get(), number, target, terminal);
    if (!state)
        return state;
    if (!known)
        if (const auto written = save(*state); !written)
            return std::unexpected{written.error()};
    if (const auto done = shut(fd->get(), number, *state); !done)
        return std::unexpected{done.error()};
    return state;
}

Result<> guard_console(const core::SavedTerminal& saved, bool alone) {
    const unsigned number = base::virtual_console(saved.device);
    const auto fd = open_terminal(saved.path, saved.device);
    if (!fd)
        return std::unexpected{fd.error()};
    if (front(fd->get()) == number)
        if (const auto moved = bring_to_front(fd->get(), number, saved.lock_console); !moved)
            return moved;
    if (front(fd->get()) == saved.lock_console &&
        ::ioctl(fd->get(), alone ? VT_LOCKSWITCH : VT_UNLOCKSWITCH, 1) < 0)
        return failed("holding the switching at", saved.lock_console);
    return {};
}

Result<> release_console(const core::SavedTerminal& saved, bool is_own, const std::string& scope) {
    const unsigned number = base::virtual_console(saved.device);
    const auto fd = open_terminal(saved.path, saved.device, scope);
    Result<> opened{};
    if (fd && is_own)
        opened = open_again(fd->get(), number, saved);
    if (saved.lock_console == 0)
        return opened;
    auto left = leave_lock_console(saved, number);
    if (left && fd)
        free_console(fd->get(), saved.lock_console);
    return opened ? left : opened;
}

Result<> leave_console(const core::SavedTerminal& saved) {
    if (const auto fd = open_terminal(saved.path, saved.device)) {
        // Open already: PID 1 was faster, for the next login there. It does not wipe tty1, which
        // VT_DISALLOCATE only seems to free.
        const bool is_asking =
            !is_shut({saved.path, saved.device}) &&
            line_of_cursor(base::virtual_console(saved.device)).contains(login_prompt);
        const auto wipe = is_asking ? wiped_around : wiped;
        (void)!::write(fd->get(), wipe.data(), wipe.size());
    }
    return release_console(saved, true);
}

Result<> open_console(const Terminal& terminal, unsigned lock_console) {
    const auto fd = open_terminal(terminal.path, terminal.device);
    if (!fd)
        return std::unexpected{fd.error()};
    ::ioctl(fd->get(), VT_UNLOCKSWITCH, 1);
    core::SavedTerminal state;
    state.path = terminal.path;
    state.device = terminal.device;
    state.lock_console = lock_console;
    state.keyboard_mode = K_UNICODE;
    return release_console(state, true);
}

} // namespace vigil::enforce
