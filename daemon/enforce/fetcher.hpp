#pragma once
// Descriptors of processes whose users may do what they like with them meanwhile.

#include "base/error.hpp"
#include "base/time.hpp"
#include "base/unique_fd.hpp"
#include "daemon/enforce/helper.hpp"

#include <optional>
#include <set>

#include <sys/types.h>

namespace vigil::enforce {

/// How long a descriptor is waited for. Usually it takes 30 µs.
inline constexpr Microseconds fetch_patience = std::chrono::milliseconds{250};
/// The most helpers that may hang at a time: one a user, and of this many users.
inline constexpr std::size_t max_hung_fetchers = 64;

/// What was fetched is a terminal: nothing that its user can make anybody wait with is let through.
struct FetchedTerminal {
    base::UniqueFd fd; ///< the same open file, with its flags
    dev_t device = 0;  ///< what it leads to, also of one opened as /dev/tty. 0: it hung up
};

/// Copies descriptors (pidfd_getfd(2)) out of processes that run. Whatever a look at such a one has
/// shown, it may be another file by the time it is copied, and one of a file system of the user's
/// own: to close it is to wait for him, and no signal helps (FUSE's FLUSH). So may be the copying
/// itself, while the process is stuck in execve(2). It is therefore done by a child, which is given
/// up when it takes too long and ends when its user lets it.
///
/// For one look: it forks when it is first asked and ends the child with itself. After one that
/// hung, nothing more is fetched from processes of that user in this look, nor in a later one while
/// the child still hangs: one wait for one look and user, and others' are not touched.
class Fetcher {
public:
    Fetcher() noexcept;
    Fetcher(const Fetcher&) = delete;
    Fetcher& operator=(const Fetcher&) = delete;

    /// EBADF: it is closed by now, or is no terminal; ESRCH: the thread is gone; EPERM: this
    /// process may not; ETIMEDOUT: it hung, or the user has another one that does. A thread with
    /// descriptors of its own has no pidfd before Linux 6.9 (ENOENT or EINVAL).
    Result<FetchedTerminal> fetch(pid_t thread, int number);

private:
    Helper helper_;
    std::set<uid_t> given_up_;
};

} // namespace vigil::enforce
