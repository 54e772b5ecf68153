#pragma once
// What a user could make wait for ever, done where it harms nobody.

#include "base/error.hpp"
#include "base/time.hpp"

#include <cstdint>
#include <functional>
#include <string>

namespace vigil::enforce {

/// How long it is waited for. Usually it takes a millisecond.
inline constexpr Microseconds aside_patience = std::chrono::seconds{1};
/// After one that hung, so long nothing is begun for the same user, also where it has ended.
inline constexpr Microseconds aside_rest = std::chrono::seconds{5};
/// The most children that may hang at a time, of whatever users.
inline constexpr std::size_t max_hung_asides = 64;

/// Does `work` in a child of its own and returns what it returned, a few kilobytes at most. Whoever
/// has a terminal open can keep every other who opens it, sets it or writes to it waiting, where no
/// signal helps: by a read(2) into memory that a file system of his own never brings. The child
/// waits then and not its parent, which gives it up: what it had not done by then may be done late,
/// once, when its user lets it.
///
/// `user`: whose doing that would be. While a child for him hangs, and some time after, nothing
/// more is begun for him: one wait for all that he could make wait. ETIMEDOUT: it hangs, or another
/// does. In a child, `work` is done there and then.
Result<std::string> aside(std::uint64_t user, const std::string& what,
                          const std::function<Result<std::string>()>& work);

/// The same where nothing but its success is to be known.
Result<> do_aside(std::uint64_t user, const std::string& what,
                  const std::function<Result<>()>& work);

/// Whether this process is such a child, and may wait for what it likes.
bool is_aside() noexcept;

} // namespace vigil::enforce
