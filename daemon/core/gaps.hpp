#pragma once
// What a lock leaves free. The shell sees it, the core says which of it makes a lock incomplete
// (vigil-policy(5), "Locks that are not complete").

#include <cstdint>
#include <string>
#include <vector>

namespace vigil::core {

struct Gap {
    enum class Kind : std::uint8_t {
        not_held,    ///< what was to stand still runs, or may again: it could not be held
        undelegated, ///< PID 1 manages the scope as well, and may undo it at any time
        reader,      ///< outside of the session, with one of its terminals open
        unasked,     ///< all is held, but there is no prompt
        at_its_own,  ///< a virtual console without a lock console, so its programs stand still
        slow,        ///< a process in the kernel, which stops as it comes back
        unsealed,    ///< an ssh connection that could bring in a command without a terminal
        closed,      ///< no terminal is left, so there is nobody to ask
        desktop,     ///< a desktop that did not lock itself
        user_unit,   ///< of the user's manager, outside of every session
    };

    Kind kind{};
    std::string text; ///< one line, unescaped

    bool operator==(const Gap&) const = default;
};

/// More are not told; they change nothing.
inline constexpr std::size_t max_gaps = 48;

/// Whether keys typed at the session's terminals reach more than its prompt, or what runs there is
/// not held for sure. What runs without these terminals is none of a lock's, inside the session or
/// outside.
bool makes_incomplete(const Gap& gap) noexcept;

/// Whether it is found by looking at the system, and not by trying to lock.
bool is_looked_for(const Gap& gap) noexcept;

/// The first that makes a lock incomplete; null: it is complete.
const Gap* first_incomplete(const std::vector<Gap>& gaps) noexcept;

/// "one; another".
std::string text_of(const std::vector<Gap>& gaps);

} // namespace vigil::core
