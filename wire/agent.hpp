#pragma once
// An ssh agent, asked on behalf of a person, from inside a program that may be root: sudo, su,
// sshd.
//
// Where the agent listens is the person's word, so root never goes there. Each question is a child
// that has nothing open but a pipe, becomes the person for good, and carries one message there and
// one back; what comes out of the pipe is bytes from outside. Waiting is the parent's, with a
// deadline; a child that is late is killed.
//
// The host process notices nothing. The child is one that sends no signal when it ends
// (clone(2) without an exit signal), so no SIGCHLD handler of the host's runs: sudo's writes into
// its event loop, sshd's waits for its own child. A wait(2) for any child does not find it either,
// which without __WALL sees only such as send SIGCHLD; nor does it matter that SIGCHLD is ignored.
// It is known by its pidfd and waited for by that alone. No disposition is changed; all signals are
// blocked in the calling thread for as long as the clone takes, and in the child for ever. A
// Ctrl-C, which sudo hears of no sooner than it runs the command, ends the wait and is the host's
// afterwards.

#include "base/error.hpp"
#include "base/time.hpp"
#include "wire/agent_messages.hpp"

#include <string>
#include <string_view>

#include <sys/types.h>

namespace vigil::wire {

/// For an answer that no person has to do with, perhaps from the other end of an ssh connection.
inline constexpr Microseconds agent_patience = Seconds{5};
/// For a person who looks for the key and touches it, or types its PIN.
inline constexpr Microseconds touch_patience = Seconds{30};

/// What sign()'s EACCES can mean, for the person: agents do not say which.
inline constexpr const char* why_not_signed =
    "the key was not touched, its PIN was not right or not typed, or the agent refuses";

class Agent {
public:
    /// `socket`: SSH_AUTH_SOCK's value as it came. uid and gid: the person, as the kernel or the
    /// user database has him, whose privileges are all that the socket is opened with.
    Agent(std::string socket, uid_t uid, gid_t gid)
        : socket_{std::move(socket)}, uid_{uid}, gid_{gid} {}

    // Errors of both: ENOENT, ECONNREFUSED: there is no agent. EACCES: the socket is not the
    // person's, or the agent refuses. ETIMEDOUT. ECONNRESET: it hung up. EPROTO, E2BIG, EMSGSIZE:
    // it is no agent, or one beyond all bounds. EPERM: this program cannot become the person.
    // ECANCELED: a SIGINT, SIGQUIT, SIGTERM or SIGHUP waits that the host does not ignore.

    Result<AgentKeys> list(Microseconds patience = agent_patience) const;
    /// The caller has told the person before to touch the key. The signature is not verified.
    Result<std::string> sign(std::string_view blob, std::string_view bytes,
                             Microseconds patience = touch_patience) const;

private:
    Result<std::string> exchange(std::string_view request, Microseconds patience) const;

    std::string socket_;
    uid_t uid_;
    gid_t gid_;
};

/// Those of the agent's that are among the wanted ones, in the agent's order.
std::vector<AgentKey> wanted_keys(const AgentKeys& has, const std::vector<std::string>& wanted);

} // namespace vigil::wire
