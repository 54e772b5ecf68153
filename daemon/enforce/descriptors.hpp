#pragma once
// Which terminal a process has open, from /proc/PID/fd (proc(5)). Users open as many files and
// start as many processes and threads as they like, so each look has a bound.

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

/// The first of `terminals` that the process has open in any of its threads.
OpenTerminal open_terminal_of(pid_t pid, const std::vector<Terminal>& terminals, Budget& budget);

/// Calls `use(number)` for the entries of a folder of procfs whose names are numbers, until it
/// returns false. A folder that cannot be opened is an error, one that goes away meanwhile ends.
Result<> for_numbers_in(const std::string& directory,
                        const std::function<bool(int folder, int number)>& use);

} // namespace vigil::enforce
