#include "daemon/enforce/activity.hpp"

#include "base/clock.hpp"
#include "daemon/enforce/inotify.hpp"
#include "daemon/enforce/new_terminals.hpp"

#include <algorithm>
#include <ctime>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <sys/stat.h>

namespace vigil::enforce {

namespace {

using Stat = struct stat;

constexpr const char* current_terminal_path = "/dev/tty";

/// Between two looks at terminals in use. With the accuracy a second at the most.
constexpr Microseconds look_interval = std::chrono::milliseconds{990};
constexpr Microseconds look_accuracy = std::chrono::milliseconds{10};
/// The kernel shows reads and writes of a terminal in steps of so many seconds.
constexpr std::int64_t time_step = 8;

BootTime boot_time_of(std::int64_t wall_seconds, const Now& now) {
    // In the future only where the wall clock was set back; then it was at most now.
    return std::min(now.boot, now.boot - (now.wall - WallTime{Seconds{wall_seconds}}));
}

/// One of a terminal's two directions.
struct Direction {
    int watch = -1;
    BootTime last{};
    BootTime told{};        ///< of which the listener knows
    std::int64_t stamp = 0; ///< atime or mtime when last looked at
    BootTime step_end{};    ///< of the step that it is in

    /// Converted once, so that a clock that is set later moves nothing.
    void note(std::int64_t seen, const Now& now) {
        if (seen == stamp)
            return;
        stamp = seen;
        const auto end = WallTime{Seconds{(seen / time_step + 1) * time_step}};
        step_end = now.boot + std::min<Microseconds>(end - now.wall, Seconds{time_step});
    }
};

struct Watched {
    Terminal terminal;
    Direction input;
    Direction output;
};

/// All terminals in one direction.
struct Side {
    Direction Watched::* direction;
    std::uint32_t mask;
    timespec Stat::* stamp;
    Inotify inotify;
    std::unordered_map<int, Watched*> watched; ///< by the number of the watch
    /// Events of watches that an earlier vigild made, until add() claims them or the loop runs.
    std::map<int, BootTime> unclaimed;

    Result<bool> watch(Watched& terminal);
    void claim(Watched& terminal);
    void forget(Watched& terminal) noexcept;
    bool still_watches(const Watched& terminal);
};

/// true: it was watched under this number already.
Result<bool> Side::watch(Watched& terminal) {
    // The kernel has one number for a node and would say so of one that is watched. Another: the
    // terminal's number was used again, and what was watched is gone.
    const auto made = inotify.watch(terminal.terminal.path, mask);
    if (!made)
        return std::unexpected{made.error()};
    Direction& own = terminal.*direction;
    if (own.watch == *made)
        return true;
    if (own.watch >= 0)
        watched.erase(own.watch);
    own.watch = *made;
    watched.insert_or_assign(*made, &terminal);
    return false;
}

void Side::claim(Watched& terminal) {
    Direction& own = terminal.*direction;
    const auto waiting = unclaimed.find(own.watch);
    if (waiting == unclaimed.end())
        return;
    own.last = std::max(own.last, waiting->second);
    unclaimed.erase(waiting);
}

void Side::forget(Watched& terminal) noexcept {
    Direction& own = terminal.*direction;
    if (own.watch < 0)
        return;
    inotify.forget(own.watch);
    watched.erase(own.watch);
}

/// Numbers of terminals are used again, and a node that goes takes its watch along. false: where it
/// could not be watched, too.
bool Side::still_watches(const Watched& terminal) {
    const auto made = inotify.watch(terminal.terminal.path, mask | IN_MASK_CREATE);
    if (made)
        inotify.forget(*made);
    return !made && made.error().code == EEXIST;
}

/// The terminal's own times, if it is still the one.
std::optional<Stat> look_at(const Terminal& terminal) noexcept {
    Stat node{};
    if (::stat(terminal.path.c_str(), &node) < 0 || node.st_rdev != terminal.device)
        return std::nullopt;
    return node;
}

/// `state` is one of SD_EVENT_ON, SD_EVENT_OFF and SD_EVENT_ONESHOT.
void enable(const base::EventSource& source, int state) noexcept {
    sd_event_source_set_enabled(source.get(), state);
}

} // namespace

// Input and output have a descriptor each: the kernel merges an event only with the one before it,
// so that echo after each key would fill one queue, and cannot fill two.
struct ActivityWatch::Implementation {
    ActivityListener listener;
    Side inputs{&Watched::input, IN_ACCESS, &Stat::st_atim, {}, {}, {}};
    Side outputs{&Watched::output, IN_MODIFY, &Stat::st_mtim, {}, {}, {}};
    NewTerminals new_terminals;
    base::EventSource input_source;
    base::EventSource output_source;
    base::EventSource look_timer;
    std::map<std::uint64_t, Watched> terminals;
    int current_terminal_watch = -1;
    BootTime current_terminal_read{}; ///< somebody, somewhere, read /dev/tty
    BootTime current_terminal_told{};
    bool inherited = false;
    bool starting = true;

    Result<> open(sd_event* loop, ActivityQueues queues);
    bool look(BootTime now);
    bool look(Side& side, BootTime now);
    void tell();
    void closed(const std::string& path);
    void unknown(Side& side, const inotify_event& event, BootTime now);
    void overflowed(Side& side);
    void after(bool seen);
    Activity read(Watched& watched, const Now& now) const;
};

Result<> ActivityWatch::Implementation::open(sd_event* loop, ActivityQueues queues) {
    const auto on_activity = [](sd_event_source*, int, std::uint32_t, void* data) noexcept {
        try {
            auto& self = *static_cast<Implementation*>(data);
            self.starting = false;
            self.after(self.look(base::read_boot_time()));
            self.tell();
        } catch (...) {
            // Without memory: what was not read is there at the next look.
        }
        return 0;
    };
    const auto on_look = [](sd_event_source*, std::uint64_t, void* data) noexcept {
        try {
            auto& self = *static_cast<Implementation*>(data);
            self.starting = false;
            self.after(self.look(base::read_boot_time()));
            self.tell();
        } catch (...) {
        }
        return 0;
    };
    inherited = static_cast<bool>(queues.inputs);
    auto opened = inputs.inotify.open(std::move(queues.inputs));
    if (opened)
        opened = outputs.inotify.open(std::move(queues.outputs));
    if (opened)
        opened = new_terminals.open(
            loop, {.opened = listener.new_terminal,
                   .closed = [this](const std::string& path) { closed(path); },
                   .is_known =
                       [this](std::uint64_t device) {
                           const auto found = terminals.find(device);
                           return found != terminals.end() && inputs.still_watches(found->second);
                       }});
    if (!opened)
        return opened;
    if (const auto made = inputs.inotify.watch(current_terminal_path, IN_ACCESS))
        current_terminal_watch = *made;

    sd_event_source* source = nullptr;
    const auto add_io = [&](const Inotify& inotify, sd_event_io_handler_t handler,
                            base::EventSource& owner) {
        const int r = sd_event_add_io(loop, &source, inotify.fd(), EPOLLIN, handler, this);
        if (r >= 0)
            owner.reset(source);
        return r;
    };
    int r = add_io(inputs.inotify, on_activity, input_source);
    if (r >= 0)
        r = add_io(outputs.inotify, on_activity, output_source);
    if (r >= 0)
        r = sd_event_add_time(loop, &source, CLOCK_BOOTTIME, UINT64_MAX,
                              static_cast<std::uint64_t>(look_accuracy.count()), on_look, this);
    if (r < 0)
        return fail(r, "adding to the event loop");
    look_timer.reset(source);
    return {};
}

/// Notes `now` for all that has events. false: nothing has.
bool ActivityWatch::Implementation::look(BootTime now) {
    const bool read = look(inputs, now);
    return look(outputs, now) || read;
}

bool ActivityWatch::Implementation::look(Side& side, BootTime now) {
    bool seen = false;
    bool lost = false;
    side.inotify.read([&](const inotify_event& event, const std::string&) {
        if ((event.mask & IN_Q_OVERFLOW) != 0) {
            lost = true;
            return;
        }
        if (event.wd == current_terminal_watch && &side == &inputs) {
            current_terminal_read = now;
            seen = true;
            return;
        }
        const auto found = side.watched.find(event.wd);
        if (found == side.watched.end())
            return unknown(side, event, now);
        Direction& direction = found->second->*side.direction;
        if ((event.mask & IN_IGNORED) != 0) {
            direction.watch = -1;
            side.watched.erase(found);
            return;
        }
        direction.last = now;
        seen = true;
    });
    if (lost)
        overflowed(side);
    return seen || lost;
}

/// A watch that an earlier vigild made. Nobody may claim it: then it would only wake us.
void ActivityWatch::Implementation::unknown(Side& side, const inotify_event& event, BootTime now) {
    if ((event.mask & IN_IGNORED) != 0)
        return;
    if (starting)
        side.unclaimed[event.wd] = now;
    else
        side.inotify.forget(event.wd);
}

void ActivityWatch::Implementation::tell() {
    // A copy: who is told may add and remove terminals.
    std::vector<std::pair<Terminal, Activity>> used;
    for (auto& [device, watched] : terminals) {
        if (watched.input.told == watched.input.last && watched.output.told == watched.output.last)
            continue;
        watched.input.told = watched.input.last;
        watched.output.told = watched.output.last;
        used.emplace_back(watched.terminal, Activity{watched.input.last, watched.output.last});
    }
    for (const auto& [terminal, activity] : used)
        listener.used(terminal, activity);
    if (std::exchange(current_terminal_told, current_terminal_read) != current_terminal_read &&
        listener.current_terminal_used)
        listener.current_terminal_used();
}

void ActivityWatch::Implementation::closed(const std::string& path) {
    // A copy: who is told may remove terminals.
    std::vector<Terminal> gone;
    for (const auto& [device, watched] : terminals)
        if (path.empty() ? !inputs.still_watches(watched) : watched.terminal.path == path)
            gone.push_back(watched.terminal);
    if (listener.closed)
        for (const auto& terminal : gone)
            listener.closed(terminal);
}

/// Whose events were dropped is not known, and any user can flood the queue. Each terminal's own
/// time tells to a step: as late as it can have been, because a lock is never early, and no later
/// however often the queue overflows.
void ActivityWatch::Implementation::overflowed(Side& side) {
    const Now now = base::read_clocks();
    for (auto& [device, watched] : terminals) {
        Direction& direction = watched.*side.direction;
        const auto node = look_at(watched.terminal);
        if (!node)
            continue; // gone, and what was in it with it
        direction.note(((*node).*side.stamp).tv_sec, now);
        direction.last = std::max(direction.last, std::min(direction.step_end, now.boot));
    }
}

/// In use: leave the queues alone until the next look. Not: be woken by the next event.
void ActivityWatch::Implementation::after(bool seen) {
    enable(input_source, seen ? SD_EVENT_OFF : SD_EVENT_ON);
    enable(output_source, seen ? SD_EVENT_OFF : SD_EVENT_ON);
    if (!seen)
        return enable(look_timer, SD_EVENT_OFF);
    sd_event_source_set_time_relative(look_timer.get(),
                                      static_cast<std::uint64_t>(look_interval.count()));
    enable(look_timer, SD_EVENT_ONESHOT);
}

/// What inotify told, and what it cannot tell: a program that reads its terminal as /dev/tty (less
/// does) is seen at that node alone. The terminal's own time moves with it, in steps.
Activity ActivityWatch::Implementation::read(Watched& watched, const Now& now) const {
    const auto node = look_at(watched.terminal);
    if (node) {
        Direction& input = watched.input;
        const bool moved = node->st_atim.tv_sec != input.stamp;
        input.note(node->st_atim.tv_sec, now);
        const BootTime until = std::min(input.step_end, now.boot);
        const BootTime from = input.step_end - Seconds{time_step};
        if (current_terminal_read >= from && current_terminal_read < until + Seconds{1})
            input.last = std::max(input.last, current_terminal_read);
        if (moved && input.last < boot_time_of(node->st_atim.tv_sec, now))
            input.last = until;
        Direction& output = watched.output;
        const bool wrote = node->st_mtim.tv_sec != output.stamp;
        output.note(node->st_mtim.tv_sec, now);
        if (wrote && output.last < boot_time_of(node->st_mtim.tv_sec, now))
            output.last = std::min(output.step_end, now.boot);
    }
    return {.input = watched.input.last, .output = watched.output.last};
}

Result<std::unique_ptr<ActivityWatch>>
ActivityWatch::create(sd_event* loop, ActivityListener listener, ActivityQueues queues) {
    std::unique_ptr<ActivityWatch> watch{new ActivityWatch};
    watch->implementation_->listener = std::move(listener);
    if (const auto opened = watch->implementation_->open(loop, std::move(queues)); !opened)
        return std::unexpected{opened.error()};
    return watch;
}

int ActivityWatch::input_queue() const noexcept {
    return implementation_->inputs.inotify.fd();
}

int ActivityWatch::output_queue() const noexcept {
    return implementation_->outputs.inotify.fd();
}

bool ActivityWatch::inherited() const noexcept {
    return implementation_->inherited;
}

void ActivityWatch::refresh() {
    auto& self = *implementation_;
    if (self.look(base::read_boot_time()))
        self.after(true);
}

ActivityWatch::ActivityWatch() : implementation_{std::make_unique<Implementation>()} {}

ActivityWatch::~ActivityWatch() = default;

Result<> ActivityWatch::add(const Terminal& terminal, Activity known) {
    auto& self = *implementation_;
    auto [at, is_new] = self.terminals.try_emplace(terminal.device, Watched{.terminal = terminal});
    Watched& watched = at->second;
    const auto read = self.inputs.watch(watched);
    const auto wrote = self.outputs.watch(watched);
    if (is_new || (read && !*read)) {
        watched.input.last = known.input;
        watched.output.last = known.output;
        // What its node says now is part of what is known.
        if (const auto node = look_at(terminal)) {
            const Now now = base::read_clocks();
            watched.input.note(node->st_atim.tv_sec, now);
            watched.output.note(node->st_mtim.tv_sec, now);
        }
    }
    self.inputs.claim(watched);
    self.outputs.claim(watched);
    if (!read)
        return std::unexpected{read.error()};
    if (!wrote)
        return std::unexpected{wrote.error()};
    return {};
}

void ActivityWatch::remove(const Terminal& terminal) noexcept {
    auto& self = *implementation_;
    const auto found = self.terminals.find(terminal.device);
    if (found == self.terminals.end())
        return;
    self.inputs.forget(found->second);
    self.outputs.forget(found->second);
    self.terminals.erase(found);
}

std::optional<Activity> ActivityWatch::get(const Terminal& terminal) const {
    const auto found = implementation_->terminals.find(terminal.device);
    if (found == implementation_->terminals.end())
        return std::nullopt;
    return implementation_->read(found->second, base::read_clocks());
}

} // namespace vigil::enforce
