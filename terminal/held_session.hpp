#pragma once
// What stands still of a locked session, and its end where no vigild sees it: it takes no SIGHUP
// and no SIGTERM, so it would stay for ever, and a shutdown would wait for it for 90 s
// (systemd.kill(5)).

#include "base/error.hpp"
#include "base/process.hpp"
#include "base/time.hpp"
#include "base/unique_fd.hpp"
#include "wire/messages.hpp"

#include <string>

namespace vigil::terminal {

class HeldSession {
public:
    /// `held`, `leader`: as PID 1 gives them to each prompt that it starts; "": it gave nothing.
    HeldSession(std::string held, const base::Process& leader);

    /// Remembered as long as vigild can say it. A leader that has ended by now is vigild's to miss.
    void remember(const wire::LockInfo& info);

    /// Whether anything stands still that would be left behind.
    bool is_known() const noexcept { return leader_ && !held_.empty(); }

    /// Whether all of it does, or nothing has to. What is in the kernel, or waits for a processor,
    /// stops as it comes back.
    bool stands_still() const;

    /// Waits for the session's end; false: it goes on.
    bool wait_for_end(Microseconds patience) const noexcept;

    /// Kills what stands still, as vigild does. Nothing to do is no error.
    Result<> end() const;

private:
    std::string held_;
    base::UniqueFd leader_; ///< a pidfd
};

} // namespace vigil::terminal
