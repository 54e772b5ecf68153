#include "daemon/enforce/redraw.hpp"

#include "base/console.hpp"
#include "base/log.hpp"
#include "base/process.hpp"
#include "daemon/enforce/aside.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/enforce/terminal_file.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include <sys/ioctl.h>

namespace vigil::enforce {

namespace {

/// How long programs have to see the shorter size, over a connection of their own perhaps.
constexpr Microseconds short_for = std::chrono::milliseconds{100};
/// They draw anew at any SIGWINCH. A shorter screen would have some of them scroll for nothing.
constexpr std::array<std::string_view, 10> draw_at_any_size{
    "less", "nvim", "tmux",      "tmux: client", "top",
    "vi",   "vim",  "vim.basic", "vim.gtk3",     "vim.tiny"};
/// Debian's name for the pager there is, as man and git have it: less as a rule, but another may
/// look at the size.
constexpr std::string_view any_pager = "pager";
constexpr std::uint64_t accuracy_us = 10'000;
/// More at once than a session of many terminals has; those beyond are not helped.
constexpr std::size_t max_short = 64;
/// One that a program keeps busy is tried so often to be given its size back.
constexpr unsigned max_failures = 5;

bool draws_at_any_size(const base::ProcessStat& stat) noexcept {
    return std::ranges::count(draw_at_any_size, stat.command) > 0;
}

bool has_size(const winsize& size, unsigned rows, unsigned columns) noexcept {
    return size.ws_row == rows && size.ws_col == columns;
}

/// In bytes, for aside(). "": it cannot be made shorter.
Result<std::string> make_shorter(const Terminal& terminal) {
    const auto fd = open_terminal(terminal.path, terminal.device);
    winsize size{};
    if (!fd || ::ioctl(fd->get(), TIOCGWINSZ, &size) < 0 || size.ws_row < 2)
        return "";
    const std::string before{reinterpret_cast<const char*>(&size), sizeof size};
    --size.ws_row;
    return ::ioctl(fd->get(), TIOCSWINSZ, &size) < 0 ? "" : before;
}

/// One whose size another has changed meanwhile has a new one already.
Result<> make_longer(const Terminal& terminal, unsigned short rows, unsigned short columns) {
    const auto fd = open_terminal(terminal.path, terminal.device);
    winsize size{};
    if (!fd || ::ioctl(fd->get(), TIOCGWINSZ, &size) < 0 || !has_size(size, rows - 1U, columns))
        return {};
    size.ws_row = rows;
    ::ioctl(fd->get(), TIOCSWINSZ, &size);
    return {};
}

/// What is in the foreground of one of the terminals.
template <typename Use>
void for_foreground(const std::string& scope, const std::vector<Terminal>& terminals, Use use) {
    const auto processes = base::processes_in(scope);
    if (!processes)
        return;
    for (const pid_t pid : *processes) {
        const auto pidfd = base::open_pidfd(pid);
        if (!pidfd)
            continue;
        const auto stat = base::read_process_stat(pid);
        if (!stat || stat->group != stat->foreground)
            continue;
        const auto terminal = std::ranges::find(terminals, stat->terminal, &Terminal::device);
        if (terminal != terminals.end())
            use(pidfd->get(), *stat, *terminal);
    }
}

} // namespace

void redraw(const std::string& scope, const std::vector<Terminal>& terminals) {
    for_foreground(scope, terminals, [](int pidfd, const base::ProcessStat&, const Terminal&) {
        static_cast<void>(base::send_signal(pidfd, SIGWINCH));
    });
}

Redraw::Redraw(sd_event* loop) : loop_{loop} {
    sd_event_source* timer = nullptr;
    if (sd_event_add_time(loop, &timer, CLOCK_MONOTONIC, UINT64_MAX, accuracy_us, on_timer, this) <
        0)
        throw std::runtime_error{"the event loop takes no timer"};
    timer_.reset(timer);
}

Redraw::~Redraw() {
    try {
        lengthen();
    } catch (const std::exception& error) {
        base::log(base::Level::error, error.what());
    }
}

/// At which of the terminals there are any.
std::vector<Terminal> Redraw::signal_known(const std::string& scope,
                                           const std::vector<Terminal>& terminals) {
    std::vector<Terminal> drawn;
    for_foreground(scope, terminals,
                   [&](int pidfd, const base::ProcessStat& stat, const Terminal& terminal) {
                       const bool draws = draws_at_any_size(stat);
                       if (draws || stat.command == any_pager)
                           static_cast<void>(base::send_signal(pidfd, SIGWINCH));
                       if (draws)
                           drawn.push_back(terminal);
                   });
    return drawn;
}

void Redraw::ask(const std::string& scope, const std::vector<Terminal>& terminals) {
    const auto drawn = signal_known(scope, terminals);
    std::vector<Terminal> as_long;
    for (const Terminal& terminal : terminals)
        if (std::ranges::count(drawn, terminal) == 0 && !shorten(terminal))
            as_long.push_back(terminal);
    redraw(scope, as_long);
}

void Redraw::ask_whole_screens(const std::string& scope, const std::vector<Terminal>& terminals) {
    const auto drawn = signal_known(scope, terminals);
    for (const Terminal& terminal : terminals)
        if (std::ranges::count(drawn, terminal) == 0 && is_drawn_on(terminal, scope))
            shorten(terminal);
}

/// The kernel sends the SIGWINCH of a new size itself. A virtual console is a real screen, which
/// loses its last row. false: it stays as long as it is.
bool Redraw::shorten(const Terminal& terminal) {
    const auto is_it = [&](const Short& one) { return one.terminal == terminal; };
    if (std::ranges::any_of(short_, is_it))
        return true;
    if (short_.size() >= max_short || base::virtual_console(terminal.device) != 0)
        return false;
    const auto before = aside(culprit(terminal.path), "resizing " + terminal.path,
                              [&] { return make_shorter(terminal); });
    winsize size{};
    if (!before || before->size() != sizeof size)
        return false;
    std::memcpy(&size, before->data(), sizeof size);
    short_.push_back({terminal, size.ws_row, size.ws_col});
    lengthen_in(short_for);
    return true;
}

void Redraw::lengthen_in(Microseconds time) {
    std::uint64_t now = 0; // before the loop's first turn
    if (sd_event_now(loop_, CLOCK_MONOTONIC, &now) < 0)
        base::log(base::Level::error, "the event loop has no clock");
    sd_event_source_set_time(timer_.get(), now + static_cast<std::uint64_t>(time.count()));
    sd_event_source_set_enabled(timer_.get(), SD_EVENT_ONESHOT);
}

void Redraw::lengthen() {
    std::vector<Short> busy;
    for (const Short& one : short_) {
        const auto done = do_aside(
            culprit(one.terminal.path), "giving " + one.terminal.path + " its last row back",
            [&] { return make_longer(one.terminal, one.rows, one.columns); });
        if (done)
            continue;
        if (one.failures + 1 < max_failures) {
            busy.push_back(one);
            ++busy.back().failures;
        } else {
            base::log(base::Level::warning, done.error().text());
        }
    }
    short_ = std::move(busy);
    if (!short_.empty())
        lengthen_in(aside_rest);
}

int Redraw::on_timer(sd_event_source*, std::uint64_t, void* userdata) noexcept {
    try {
        static_cast<Redraw*>(userdata)->lengthen();
    } catch (const std::exception& error) {
        base::log(base::Level::error, error.what());
    }
    return 0;
}

} // namespace vigil::enforce
