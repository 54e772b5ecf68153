#pragma once
// The person's ssh agent and its security keys, as vigilctl asks it. Errors: `what` is the whole
// line for the person.

#include "wire/agent.hpp"
#include "wire/challenge.hpp"

namespace vigil::cli {

/// The agent that SSH_AUTH_SOCK names. Root asks it as himself, and where it is not his as who
/// logged in: behind sudo it is that one's.
class PersonsAgent {
public:
    static Result<PersonsAgent> find();

    const wire::AgentKeys& has() const noexcept { return has_; }
    /// Asks for the touch on stderr, in these words, and waits for it. The signature's blob.
    Result<std::string> touch(const wire::AgentKey& key, const wire::Challenge& challenge,
                              const char* words) const;

private:
    PersonsAgent(wire::Agent agent, wire::AgentKeys has)
        : agent_{std::move(agent)}, has_{std::move(has)} {}

    wire::Agent agent_;
    wire::AgentKeys has_;
};

/// "SHA256:… (comment)", harmless for a terminal.
std::string shown(const wire::AgentKey& key);

} // namespace vigil::cli
