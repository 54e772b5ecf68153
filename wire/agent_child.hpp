#pragma once
// The child that goes to an ssh agent, see agent.hpp. Of wire/agent.cpp alone.

#include <cstdint>
#include <string_view>

#include <sys/types.h>
#include <sys/un.h>

namespace vigil::wire {

/// What the child is given. It has copies of all of it.
struct AgentErrand {
    sockaddr_un address{};
    std::string_view request; ///< a whole message
    uid_t uid = static_cast<uid_t>(-1);
    gid_t gid = static_cast<gid_t>(-1);
    int report = -1; ///< the pipe
    pid_t parent = -1;
};

/// What it says first. Behind `answered` comes the agent's message, its length in front.
struct AgentReport {
    enum class Step : std::uint32_t { answered, person, connecting, talking };
    Step step = Step::answered;
    std::int32_t error = 0;
};

/// As clone(2) takes it; `errand` is an AgentErrand. It may be the copy of a program with threads,
/// so it calls nothing that takes a lock or memory (signal-safety(7)). Never returns.
int run_agent_errand(void* errand) noexcept;

} // namespace vigil::wire
