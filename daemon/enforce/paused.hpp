#pragma once
// What a lock has paused, for the person who comes back to it.

#include "base/error.hpp"
#include "base/time.hpp"

#include <string>
#include <vector>

namespace vigil::enforce {

/// More processes than these are not looked at.
inline constexpr std::size_t max_paused_looked = 256;

struct PausedProgram {
    std::string name; ///< as the kernel has it, unescaped
    Microseconds ran{0};

    bool operator==(const PausedProgram&) const = default;
};

/// One for each job that is frozen: the process that leads it, or the oldest that is left of it.
/// The one in the foreground first, then the longest. Without the shells that the sessions of
/// terminals began with. Empty where nothing is frozen.
std::vector<PausedProgram> paused_programs(const std::string& scope, BootTime locked_since);

} // namespace vigil::enforce
