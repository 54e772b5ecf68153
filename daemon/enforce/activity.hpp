#pragma once
// Last input and output of terminals, exactly, at one wakeup a second however much is typed and
// none while nothing is (inotify(7)).
//
// The kernel merges equal unread events, so: when the descriptor fires, note the time, stop
// listening and look again in a second; if something came meanwhile, that moment is the (late by at
// most a second, never early) time of it and we look again in a second; if not, listen again.

#include "base/systemd.hpp"
#include "base/unique_fd.hpp"
#include "daemon/enforce/terminals.hpp"

#include <functional>
#include <memory>

namespace vigil::enforce {

struct Activity {
    BootTime input{};
    BootTime output{};
};

/// What an ActivityWatch tells of its own accord.
struct ActivityListener {
    /// A new pty, once its node has its final owner or half a second later. The path is empty where
    /// it is not known which of the owner's are new.
    std::function<void(const std::string&, uid_t)> new_terminal;
    /// A terminal that was in use at the last look.
    std::function<void(const Terminal&, const Activity&)> used;
    /// One that is watched is closed; its number may be another's by now.
    std::function<void(const Terminal&)> closed{};
    /// Some terminal was read as /dev/tty; get() tells whether it was this one.
    std::function<void()> current_terminal_used{};
};

/// The descriptors of an earlier ActivityWatch, kept by PID 1 (sd_pid_notify_with_fds(3), FDSTORE):
/// what was typed while no vigild ran waits in their queues.
struct ActivityQueues {
    base::UniqueFd inputs;
    base::UniqueFd outputs;
};

class ActivityWatch {
public:
    /// Attaches to the loop, which must outlive this. Also watches /dev/pts for new terminals.
    static Result<std::unique_ptr<ActivityWatch>> create(sd_event* loop, ActivityListener listener,
                                                         ActivityQueues queues);
    ~ActivityWatch();

    /// For handing over to PID 1.
    int input_queue() const noexcept;
    int output_queue() const noexcept;
    /// Whether what came before this watch was there is in its queues.
    bool inherited() const noexcept;

    /// Takes what is in the queues now, so that get() tells all up to this moment.
    void refresh();

    /// Starts to watch; `known` is what is already known of it. No error if it is watched.
    Result<> add(const Terminal& terminal, Activity known);
    void remove(const Terminal& terminal) noexcept;
    std::optional<Activity> get(const Terminal& terminal) const;

private:
    ActivityWatch();
    struct Implementation;
    std::unique_ptr<Implementation> implementation_;
};

} // namespace vigil::enforce
