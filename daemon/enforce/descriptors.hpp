#pragma once
// Which terminal a process has open, from /proc/PID/fd (proc(5)). Users open as many files and
// start as many processes and threads as they like, so each look has a bound.

#include "base/unique_fd.hpp"
#include "daemon/enforce/fetcher.hpp"
#include "daemon/enforce/terminals.hpp"

namespace vigil::enforce {

/// What a look may still cost. A step is about 5 µs: a descriptor, a thread, a part of a process.
class Budget {
public:
    explicit Budget(std::size_t steps) noexcept : left_{steps} {}

    /// false: that is more than what is left, and from now on nothing is.
    bool take(std::size_t steps) noexcept {
        const bool enough = steps <= left_;
        left_ = enough ? left_ - steps : 0;
        return enough;
    }
    std::size_t left() const noexcept { return left_; }

private:
    std::size_t left_;
};

struct OpenTerminal {
    const Terminal* terminal = nullptr; ///< of those asked for
    bool complete = true; ///< false: no more is known, because not all could be looked at
};

/// Whether a descriptor that leads to one of the terminals is what is looked for; else the look
/// goes on.
using Accept = std::function<bool(pid_t thread, int number, const Terminal& terminal)>;

/// The first of `terminals` that the process has open in any of its threads.
OpenTerminal open_terminal_of(pid_t pid, const std::vector<Terminal>& terminals, Budget& budget,
                              Fetcher& fetcher, const Accept& accept = {});

/// A copy of a descriptor (pidfd_getfd(2)): the same open file, with its flags. Of processes alone
/// that no user can have open what he likes, as sshd's; of others see Fetcher. EBADF: it is closed
/// by now; EPERM: this process may not.
Result<base::UniqueFd> fetch_descriptor(pid_t thread, int number);

} // namespace vigil::enforce
