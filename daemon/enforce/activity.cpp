#include "daemon/enforce/activity.hpp"

#include "base/clock.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <map>
#include <string_view>

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vigil::enforce {

namespace {

constexpr const char* pty_directory = "/dev/pts";
constexpr const char* current_terminal = "/dev/tty";

/// Between two looks at terminals in use. With the accuracy a second at the most.
constexpr Microseconds look_interval = std::chrono::milliseconds{990};
constexpr Microseconds look_accuracy = std::chrono::milliseconds{10};
/// How long a new pty of root's may still become a user's: sshd makes it as root and hands it over.
constexpr Microseconds owner_patience = std::chrono::milliseconds{500};
/// The kernel shows reads and writes of a terminal in steps of so many seconds.
constexpr std::int64_t time_step = 8;

/// An inotify descriptor, and how its events are taken from it.
class Inotify {
public:
    Result<> open(base::UniqueFd kept) {
        fd_ = std::move(kept);
        if (fd_)
            return {};
        fd_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
        if (!fd_)
            return fail(errno, "opening inotify");
        return {};
    }

    Result<int> watch(const std::string& path, std::uint32_t mask) {
        const int number = ::inotify_add_watch(fd_.get(), path.c_str(), mask);
        if (number < 0)
            return fail(errno, "watching " + path);
        return number;
    }

    void forget(int number) noexcept { ::inotify_rm_watch(fd_.get(), number); }

    /// Calls `use(event, name)` for all that is there.
    template <typename Use>
    void read(Use use) {
        alignas(inotify_event) std::array<char, 16 * 1024> buffer;
        while (true) {
            const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
            if (got <= 0)
                return;
            for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(got);) {
                const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
                use(*event, std::string{event->len > 0 ? event->name : ""});
                at += sizeof(inotify_event) + event->len;
            }
        }
    }

    int fd() const noexcept { return fd_.get(); }

private:
    base::UniqueFd fd_;
};

/// One of a terminal's two directions.
struct Direction {
    int watch = -1;
    BootTime last{};
    BootTime told{};        ///< of which the listener knows
    std::int64_t stamp = 0; ///< atime or mtime when last looked at
};

struct Watched {
    Terminal terminal;
    Direction input;
    Direction output;
};

/// `state` is one of SD_EVENT_ON, SD_EVENT_OFF and SD_EVENT_ONESHOT.
void enable(const base::EventSource& source, int state) noexcept {
    sd_event_source_set_enabled(source.get(), state);
}

BootTime boot_time_of(std::int64_t wall_seconds, const Now& now) {
    // In the future only where the wall clock was set back; then it was at most now.
    return std::min(now.boot, now.boot - (now.wall - WallTime{Seconds{wall_seconds}}));
}

} // namespace

// Input and output have a descriptor each: the kernel merges an event only with the one before it,
// so that echo after each key would fill one queue, and cannot fill two.
struct ActivityWatch::Implementation {
    ActivityListener listener;
    Inotify inputs;
    Inotify outputs;
    Inotify nodes;
    base::EventSource input_source;
    base::EventSource output_source;
    base::EventSource node_source;
    base::EventSource look_timer;
    base::EventSource owner_timer;
    std::map<std::uint64_t, Watched> terminals;
    std::map<std::string, BootTime> without_owner; ///< new ptys, and until when to wait
    int current_terminal_watch = -1;
    BootTime current_terminal_read{}; ///< somebody, somewhere, read /dev/tty
    /// Events of watches that an earlier vigild made, until add() claims them or the loop runs.
    std::map<int, BootTime> unclaimed_inputs;
    std::map<int, BootTime> unclaimed_outputs;
    bool inherited = false;
    bool starting = true;

    Result<> open(sd_event* loop, ActivityQueues queues);
    bool look(BootTime now);
    void tell();
    void unknown(const inotify_event& event, Inotify& inotify, std::map<int, BootTime>& unclaimed,
                 BootTime now);
    void overflowed(BootTime now);
    void after(bool seen);
    void nodes_changed();
    void settle_owners(BootTime now);
    Result<> watch(Direction& direction, Inotify& inotify, std::map<int, BootTime>& unclaimed,
                   const std::string& path, std::uint32_t mask);
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
    const auto on_node = [](sd_event_source*, int, std::uint32_t, void* data) noexcept {
        try {
            static_cast<Implementation*>(data)->nodes_changed();
        } catch (...) {
        }
        return 0;
    };
    const auto on_owner = [](sd_event_source*, std::uint64_t, void* data) noexcept {
        try {
            static_cast<Implementation*>(data)->settle_owners(base::read_boot_time());
        } catch (...) {
        }
        return 0;
    };

    inherited = static_cast<bool>(queues.inputs);
    auto opened = inputs.open(std::move(queues.inputs));
    if (opened)
        opened = outputs.open(std::move(queues.outputs));
    if (opened)
        opened = nodes.open({});
    if (!opened)
        return opened;
    if (const auto made = nodes.watch(pty_directory, IN_CREATE | IN_ONLYDIR); !made)
        return std::unexpected{made.error()};
    if (const auto made = inputs.watch(current_terminal, IN_ACCESS))
        current_terminal_watch = *made;

    sd_event_source* source = nullptr;
    const auto add_io = [&](const Inotify& inotify, sd_event_io_handler_t handler,
                            base::EventSource& owner) {
        const int r = sd_event_add_io(loop, &source, inotify.fd(), EPOLLIN, handler, this);
        if (r >= 0)
            owner.reset(source);
        return r;
    };
    const auto add_timer = [&](Microseconds accuracy, sd_event_time_handler_t handler,
                               base::EventSource& owner) {
        const int r =
            sd_event_add_time(loop, &source, CLOCK_BOOTTIME, UINT64_MAX,
                              static_cast<std::uint64_t>(accuracy.count()), handler, this);
        if (r >= 0)
            owner.reset(source);
        return r;
    };
    int r = add_io(inputs, on_activity, input_source);
    if (r >= 0)
        r = add_io(outputs, on_activity, output_source);
    if (r >= 0)
        r = add_io(nodes, on_node, node_source);
    if (r >= 0)
        r = add_timer(look_accuracy, on_look, look_timer);
    if (r >= 0)
        r = add_timer(look_accuracy, on_owner, owner_timer);
    if (r < 0)
        return fail(r, "adding to the event loop");
    return {};
}

/// Notes `now` for all that has events. false: nothing has.
bool ActivityWatch::Implementation::look(BootTime now) {
    bool seen = false;
    bool lost = false;
    const auto take = [&](Inotify& inotify, Direction Watched::* direction,
                          std::map<int, BootTime>& unclaimed) {
        inotify.read([&](const inotify_event& event, const std::string&) {
            if ((event.mask & IN_Q_OVERFLOW) != 0)
                lost = true;
            if (event.wd == current_terminal_watch && direction == &Watched::input) {
                current_terminal_read = now;
                seen = true;
                return;
            }
            const auto found = std::ranges::find_if(terminals, [&](const auto& one) {
                return (one.second.*direction).watch == event.wd;
            });
            if (found == terminals.end())
                return unknown(event, inotify, unclaimed, now);
            if ((event.mask & IN_IGNORED) != 0) {
                (found->second.*direction).watch = -1;
                return;
            }
            (found->second.*direction).last = now;
            seen = true;
        });
    };
    take(inputs, &Watched::input, unclaimed_inputs);
    take(outputs, &Watched::output, unclaimed_outputs);
    if (lost)
        overflowed(now);
    return seen || lost;
}

/// A watch that an earlier vigild made. Nobody may claim it: then it would only wake us.
void ActivityWatch::Implementation::unknown(const inotify_event& event, Inotify& inotify,
                                            std::map<int, BootTime>& unclaimed, BootTime now) {
    if ((event.mask & (IN_IGNORED | IN_Q_OVERFLOW)) != 0)
        return;
    if (starting)
        unclaimed[event.wd] = now;
    else
        inotify.forget(event.wd);
}

/// The listener may add and remove terminals.
void ActivityWatch::Implementation::tell() {
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
}

/// Whose events were dropped is not known: everything that could be is taken for used.
void ActivityWatch::Implementation::overflowed(BootTime now) {
    for (auto& [device, watched] : terminals)
        watched.input.last = watched.output.last = now;
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

void ActivityWatch::Implementation::nodes_changed() {
    const BootTime now = base::read_boot_time();
    bool created = false;
    nodes.read([&](const inotify_event& event, const std::string& name) {
        if ((event.mask & IN_CREATE) == 0 || name.empty() ||
            name.find_first_not_of("0123456789") != name.npos)
            return;
        without_owner.insert_or_assign(std::string{pty_directory} + "/" + name,
                                       now + owner_patience);
        created = true;
    });
    // Changes of owner wake us only while one is waited for: a user may make any number of them.
    // This comes before the look at the owners, so that none is missed in between.
    if (created)
        static_cast<void>(nodes.watch(pty_directory, IN_CREATE | IN_ATTRIB | IN_ONLYDIR));
    settle_owners(now);
}

void ActivityWatch::Implementation::settle_owners(BootTime now) {
    std::vector<std::pair<std::string, uid_t>> settled;
    BootTime next = BootTime::max();
    for (auto at = without_owner.begin(); at != without_owner.end();) {
        struct stat node{};
        const bool there = ::stat(at->first.c_str(), &node) == 0;
        if (there && node.st_uid == 0 && now < at->second) {
            next = std::min(next, at->second);
            ++at;
            continue;
        }
        if (there)
            settled.emplace_back(at->first, node.st_uid);
        at = without_owner.erase(at);
    }
    if (without_owner.empty()) {
        enable(owner_timer, SD_EVENT_OFF);
        static_cast<void>(nodes.watch(pty_directory, IN_CREATE | IN_ONLYDIR));
    } else {
        sd_event_source_set_time(owner_timer.get(),
                                 static_cast<std::uint64_t>(next.time_since_epoch().count()));
        enable(owner_timer, SD_EVENT_ONESHOT);
    }
    for (const auto& [path, uid] : settled)
        listener.new_terminal(path, uid);
}

Result<> ActivityWatch::Implementation::watch(Direction& direction, Inotify& inotify,
                                              std::map<int, BootTime>& unclaimed,
                                              const std::string& path, std::uint32_t mask) {
    if (direction.watch >= 0)
        return {};
    const auto made = inotify.watch(path, mask);
    if (!made)
        return std::unexpected{made.error()};
    direction.watch = *made;
    if (const auto waiting = unclaimed.find(*made); waiting != unclaimed.end()) {
        direction.last = std::max(direction.last, waiting->second);
        unclaimed.erase(waiting);
    }
    return {};
}

/// What inotify told, and what it cannot tell: a program that reads its terminal as /dev/tty (less
/// does) is seen at that node alone. The terminal's own time moves with it, in steps.
Activity ActivityWatch::Implementation::read(Watched& watched, const Now& now) const {
    struct stat node{};
    if (::stat(watched.terminal.path.c_str(), &node) == 0 &&
        node.st_rdev == watched.terminal.device) {
        const std::int64_t step = node.st_atim.tv_sec / time_step * time_step;
        const bool moved = node.st_atim.tv_sec != watched.input.stamp;
        watched.input.stamp = node.st_atim.tv_sec;
        const BootTime from = boot_time_of(step, now);
        const BootTime until = boot_time_of(step + time_step, now);
        if (current_terminal_read >= from && current_terminal_read < until + Seconds{1})
            watched.input.last = std::max(watched.input.last, current_terminal_read);
        if (moved && watched.input.last < boot_time_of(node.st_atim.tv_sec, now))
            watched.input.last = until;
        const bool wrote = node.st_mtim.tv_sec != watched.output.stamp;
        watched.output.stamp = node.st_mtim.tv_sec;
        if (wrote && watched.output.last < boot_time_of(node.st_mtim.tv_sec, now))
            watched.output.last =
                boot_time_of((node.st_mtim.tv_sec / time_step + 1) * time_step, now);
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
    return implementation_->inputs.fd();
}

int ActivityWatch::output_queue() const noexcept {
    return implementation_->outputs.fd();
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
    if (is_new) {
        watched.input.last = known.input;
        watched.output.last = known.output;
        // What its node says now is part of what is known.
        if (struct stat node{}; ::stat(terminal.path.c_str(), &node) == 0) {
            watched.input.stamp = node.st_atim.tv_sec;
            watched.output.stamp = node.st_mtim.tv_sec;
        }
    }
    auto made =
        self.watch(watched.input, self.inputs, self.unclaimed_inputs, terminal.path, IN_ACCESS);
    if (made)
        made = self.watch(watched.output, self.outputs, self.unclaimed_outputs, terminal.path,
                          IN_MODIFY);
    return made;
}

void ActivityWatch::remove(const Terminal& terminal) noexcept {
    auto& self = *implementation_;
    const auto found = self.terminals.find(terminal.device);
    if (found == self.terminals.end())
        return;
    if (found->second.input.watch >= 0)
        self.inputs.forget(found->second.input.watch);
    if (found->second.output.watch >= 0)
        self.outputs.forget(found->second.output.watch);
    self.terminals.erase(found);
}

std::optional<Activity> ActivityWatch::get(const Terminal& terminal) const {
    const auto found = implementation_->terminals.find(terminal.device);
    if (found == implementation_->terminals.end())
        return std::nullopt;
    return implementation_->read(found->second, base::read_clocks());
}

} // namespace vigil::enforce
