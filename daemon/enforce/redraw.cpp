#include "daemon/enforce/redraw.hpp"

#include "base/log.hpp"
#include "base/process.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/enforce/terminal_file.hpp"

#include <algorithm>
#include <csignal>
#include <stdexcept>

#include <sys/ioctl.h>

namespace vigil::enforce {

namespace {

/// How long screen's client and its server have to see the shorter size.
constexpr Microseconds short_for = std::chrono::milliseconds{100};
constexpr std::uint64_t accuracy_us = 10'000;
/// More at once than a session of many terminals has; those beyond are not helped.
constexpr std::size_t max_short = 64;

bool compares_sizes(const base::ProcessStat& stat) noexcept {
    return stat.command == "screen";
}

bool has_size(const winsize& size, unsigned rows, unsigned columns) noexcept {
    return size.ws_row == rows && size.ws_col == columns;
}

/// What is in the foreground of one of the terminals.
template <typename Use>
void for_foreground(const std::string& scope, const std::vector<Terminal>& terminals, Use use) {
    const auto processes = processes_in(scope);
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

void Redraw::ask(const std::string& scope, const std::vector<Terminal>& terminals) {
    for_foreground(scope, terminals,
                   [this](int pidfd, const base::ProcessStat& stat, const Terminal& terminal) {
                       if (compares_sizes(stat))
                           shorten(terminal);
                       else
                           static_cast<void>(base::send_signal(pidfd, SIGWINCH));
                   });
}

/// The kernel sends the SIGWINCH of a new size itself.
void Redraw::shorten(const Terminal& terminal) {
    const auto is_it = [&](const Short& one) { return one.terminal == terminal; };
    if (std::ranges::any_of(short_, is_it))
        return;
    const auto fd = open_terminal(terminal.path, terminal.device);
    winsize size{};
    std::uint64_t now = 0;
    if (!fd || short_.size() >= max_short || ::ioctl(fd->get(), TIOCGWINSZ, &size) < 0 ||
        size.ws_row < 2 || sd_event_now(loop_, CLOCK_MONOTONIC, &now) < 0)
        return;
    const Short before{terminal, size.ws_row, size.ws_col};
    --size.ws_row;
    if (::ioctl(fd->get(), TIOCSWINSZ, &size) < 0)
        return;
    short_.push_back(before);
    sd_event_source_set_time(timer_.get(), now + static_cast<std::uint64_t>(short_for.count()));
    sd_event_source_set_enabled(timer_.get(), SD_EVENT_ONESHOT);
}

/// Those whose size another has changed meanwhile have a new one already.
void Redraw::lengthen() {
    for (const Short& one : short_) {
        const auto fd = open_terminal(one.terminal.path, one.terminal.device);
        winsize size{};
        if (!fd || ::ioctl(fd->get(), TIOCGWINSZ, &size) < 0 ||
            !has_size(size, one.rows - 1U, one.columns))
            continue;
        size.ws_row = one.rows;
        ::ioctl(fd->get(), TIOCSWINSZ, &size);
    }
    short_.clear();
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
