#pragma once
// Last input and output of terminals, exactly, at one wakeup a second however much is typed and none
// while nothing is (inotify(7)).
//
// The kernel merges equal unread events, so: when the descriptor fires, note the time, stop listening
// and look again in a second; if something came meanwhile, that moment is the (late by at most a
// second, never early) time of it and we look again in a second; if not, listen again.

#include "base/systemd.hpp"
#include "daemon/enforce/terminals.hpp"

#include <functional>
#include <memory>

namespace vigil::enforce {

struct Activity {
    BootTime input{};
    BootTime output{};
};

class ActivityWatch {
public:
    /// Attaches to the loop, which must outlive this. Also watches /dev/pts for new terminals;
    /// `on_new_terminal` is told the path, once the node has its final owner or half a second later.
    static Result<std::unique_ptr<ActivityWatch>>
    create(sd_event* loop, std::function<void(const std::string&, uid_t)> on_new_terminal);
    ~ActivityWatch();

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
