#pragma once
// What is said to an ssh agent, and its answers taken apart (draft-ietf-sshm-ssh-agent, 3). Pure.
// Whoever has the socket answers: nothing here is believed, only understood or refused.

#include "base/error.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace vigil::wire {

/// OpenSSH's own bound of a message, the length in front left out.
inline constexpr std::size_t max_agent_message = 256 * 1024;
inline constexpr std::size_t max_agent_keys = 256;
inline constexpr std::size_t max_comment_bytes = 256; ///< what is longer is cut

struct AgentKey {
    std::string blob;    ///< one that parse_security_key() takes
    std::string comment; ///< its owner's, or whoever's: to be escaped

    bool operator==(const AgentKey&) const = default;
};

struct AgentKeys {
    std::vector<AgentKey> keys; ///< those of security keys, in the agent's order
    std::size_t others = 0;     ///< plain keys and certificates
};

/// Whole messages, their length in front.
std::string list_request();
/// EMSGSIZE: more than an agent takes.
Result<std::string> sign_request(std::string_view blob, std::string_view bytes);

/// `answer`: a message without its length. EPROTO: it is no answer to that. E2BIG: more than
/// max_agent_keys. EACCES: the agent refuses.
Result<AgentKeys> read_keys(std::string_view answer);
/// The signature's blob, not verified. Errors as above.
Result<std::string> read_signature(std::string_view answer);

} // namespace vigil::wire
