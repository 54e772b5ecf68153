#pragma once
// Who asks for a password at this terminal, for polkit: pkttyagent(1), as long as the object lives.
// The password goes from it to polkit's helper, and neither vigilctl nor vigild has it.

#include <sys/types.h>

namespace vigil::cli {

class PasswordAgent {
public:
    /// Returns when polkit knows the agent. Without a terminal, for root, or where pkttyagent is
    /// not installed or does not start, there is none: vigild says then that nobody could be asked.
    PasswordAgent();
    PasswordAgent(const PasswordAgent&) = delete;
    PasswordAgent& operator=(const PasswordAgent&) = delete;
    ~PasswordAgent();

private:
    pid_t pid_ = 0; ///< 0: there is none
};

} // namespace vigil::cli
