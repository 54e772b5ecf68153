#pragma once
// New ptys, each told once its node has its final owner: sshd makes it as root and hands it over.
// And those that are closed, whoever still has them open on the other side.

#include "base/systemd.hpp"
#include "base/time.hpp"
#include "daemon/enforce/inotify.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <sys/types.h>

namespace vigil::enforce {

class NewTerminals {
public:
    struct Listener {
        /// `path` is empty where it is not known which terminals of this owner are new.
        std::function<void(const std::string& path, uid_t owner)> opened;
        /// `path` is empty where it is not known which are closed.
        std::function<void(const std::string& path)> closed;
        /// Whether this device is known, and still the same terminal, so that it is not new.
        std::function<bool(std::uint64_t device)> is_known;
    };

    /// Attaches to the loop, which must outlive this.
    Result<> open(sd_event* loop, Listener listener);

private:
    struct Waiting {
        BootTime until{};
        int watch = -1; ///< of its node, whose owner is to change
    };

    void changed();
    void wait_for(const std::string& path, BootTime now);
    void look_at_all(BootTime now);
    void settle(BootTime now);
    void tell(const std::map<uid_t, std::vector<std::string>>& settled);
    void wake_at(BootTime when);

    Listener listener_;
    Inotify inotify_;
    base::EventSource source_;
    base::EventSource timer_;
    std::map<std::string, Waiting> without_owner_;
    std::set<uid_t> owners_of_unknown_; ///< to be told that some of theirs are new
    BootTime rests_until_{};            ///< nobody is told before
};

} // namespace vigil::enforce
