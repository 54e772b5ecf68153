#pragma once
// A child that is asked one thing after another, because a user could make who asks wait for ever.

#include "base/error.hpp"
#include "base/time.hpp"
#include "base/unique_fd.hpp"
#include "daemon/enforce/hung_children.hpp"

#include <string_view>

namespace vigil::enforce {

/// Forks when it is first asked, and ends the child with itself. One that takes too long is given
/// up: the child waits then, and not its parent; the next question goes to another.
class Helper {
public:
    /// In the child: reads questions from this socket (SOCK_SEQPACKET) and answers them. It ends
    /// when this returns, and at the latest when the parent hangs up.
    using Serve = void (*)(int socket) noexcept;

    /// `name`: the child's, 15 bytes at the most; it outlives this.
    Helper(const char* name, Serve serve) noexcept : name_{name}, serve_{serve} {}

    /// Starts another child where the last one has ended.
    Result<> ask(std::string_view question);
    /// Whether an answer to what was asked, or the child's end, is there to be read in that time.
    /// If not it is one more of `hung`, because of `user`.
    bool answers_within(Microseconds patience, HungChildren& hung, std::uint64_t user);
    /// Where its answer is read from.
    int socket() const noexcept { return socket_.get(); }
    /// Nobody waits for it.
    void end() noexcept;

private:
    Result<> start();

    const char* name_;
    Serve serve_;
    base::UniqueFd socket_; ///< to the child
    base::UniqueFd child_;  ///< its pidfd
};

} // namespace vigil::enforce
