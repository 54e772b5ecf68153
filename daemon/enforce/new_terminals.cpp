#include "daemon/enforce/new_terminals.hpp"

#include "base/clock.hpp"
#include "base/directory.hpp"
#include "daemon/enforce/descriptors.hpp"
#include "daemon/enforce/terminal_file.hpp"

#include <algorithm>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>

namespace vigil::enforce {

namespace {

/// How long a new pty of root's may still become a user's.
constexpr Microseconds owner_patience = std::chrono::milliseconds{500};
constexpr std::uint64_t timer_accuracy = 10'000; // µs
/// After telling, so many times as long as that took: anybody may open terminals without end, and
/// whoever is told looks through his processes.
constexpr int rest_factor = 9;

} // namespace

Result<> NewTerminals::open(sd_event* loop, Listener listener) {
    listener_ = std::move(listener);
    const auto on_change = [](sd_event_source*, int, std::uint32_t, void* data) noexcept {
        try {
            static_cast<NewTerminals*>(data)->changed();
        } catch (...) {
            // Without memory: it is found at the session's next look at its terminals.
        }
        return 0;
    };
    const auto on_time = [](sd_event_source*, std::uint64_t, void* data) noexcept {
        try {
            static_cast<NewTerminals*>(data)->settle(base::read_boot_time());
        } catch (...) {
        }
        return 0;
    };
    if (auto opened = inotify_.open({}); !opened)
        return opened;
    if (const auto made = inotify_.watch(pty_directory, IN_CREATE | IN_DELETE | IN_ONLYDIR); !made)
        return std::unexpected{made.error()};
    sd_event_source* source = nullptr;
    int r = sd_event_add_io(loop, &source, inotify_.fd(), EPOLLIN, on_change, this);
    if (r < 0)
        return fail(r, "adding to the event loop");
    source_.reset(source);
    r = sd_event_add_time(loop, &source, CLOCK_BOOTTIME, UINT64_MAX, timer_accuracy, on_time, this);
    if (r < 0)
        return fail(r, "adding to the event loop");
    timer_.reset(source);
    return {};
}

void NewTerminals::changed() {
    const BootTime now = base::read_boot_time();
    bool lost = false;
    std::vector<std::string> closed;
    inotify_.read([&](const inotify_event& event, const std::string& name) {
        lost = lost || (event.mask & IN_Q_OVERFLOW) != 0;
        if (name.empty() || name.find_first_not_of("0123456789") != name.npos)
            return;
        const auto path = std::string{pty_directory} + "/" + name;
        if ((event.mask & IN_CREATE) != 0)
            wait_for(path, now);
        if ((event.mask & IN_DELETE) != 0)
            closed.push_back(path);
    });
    if (lost) {
        look_at_all(now);
        closed = {std::string{}};
    }
    // First: whoever has the number of one next takes over what is known of it.
    for (const auto& path : closed)
        listener_.closed(path);
    settle(now);
}

/// The node itself is watched, not all of the folder: changes of their own nodes would let users
/// wake us as often as they like, and fill the queue.
void NewTerminals::wait_for(const std::string& path, BootTime now) {
    Waiting& waiting = without_owner_[path];
    waiting.until = now + owner_patience;
    // Before the look at the owner, so that no change is missed in between.
    waiting.watch = inotify_.watch(path, IN_ATTRIB).value_or(-1);
}

/// Which are new was lost.
void NewTerminals::look_at_all(BootTime now) {
    static_cast<void>(base::for_numbers_in(pty_directory, [&](int folder, int number) {
        const std::string name = std::to_string(number);
        struct stat node{};
        if (::fstatat(folder, name.c_str(), &node, AT_SYMLINK_NOFOLLOW) < 0 ||
            listener_.is_known(node.st_rdev))
            return true;
        if (node.st_uid == 0)
            wait_for(std::string{pty_directory} + "/" + name, now);
        else
            owners_of_unknown_.insert(node.st_uid);
        return true;
    }));
}

void NewTerminals::settle(BootTime now) {
    if (now < rests_until_)
        return wake_at(rests_until_);
    std::map<uid_t, std::vector<std::string>> settled;
    BootTime next = BootTime::max();
    for (auto at = without_owner_.begin(); at != without_owner_.end();) {
        struct stat node{};
        const bool there = ::stat(at->first.c_str(), &node) == 0;
        if (there && node.st_uid == 0 && now < at->second.until) {
            next = std::min(next, at->second.until);
            ++at;
            continue;
        }
        if (there)
            settled[node.st_uid].push_back(at->first);
        if (at->second.watch >= 0)
            inotify_.forget(at->second.watch);
        at = without_owner_.erase(at);
    }
    wake_at(next);
    for (const uid_t owner : std::exchange(owners_of_unknown_, {}))
        settled[owner].clear();
    tell(settled);
}

/// An owner is told once, however many terminals he has.
void NewTerminals::tell(const std::map<uid_t, std::vector<std::string>>& settled) {
    const BootTime began = base::read_boot_time();
    for (const auto& [owner, paths] : settled)
        listener_.opened(paths.size() == 1 ? paths.front() : std::string{}, owner);
    if (!settled.empty()) {
        const BootTime ended = base::read_boot_time();
        rests_until_ = ended + rest_factor * (ended - began);
    }
}

void NewTerminals::wake_at(BootTime when) {
    if (when == BootTime::max()) {
        sd_event_source_set_enabled(timer_.get(), SD_EVENT_OFF);
        return;
    }
    sd_event_source_set_time(timer_.get(),
                             static_cast<std::uint64_t>(when.time_since_epoch().count()));
    sd_event_source_set_enabled(timer_.get(), SD_EVENT_ONESHOT);
}

} // namespace vigil::enforce
