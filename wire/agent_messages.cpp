#include "wire/agent_messages.hpp"

#include "base/ssh_format.hpp"
#include "wire/security_key.hpp"

#include <cerrno>

namespace vigil::wire {

namespace {

// Of the draft's 6.1.
constexpr std::uint8_t failure = 5;
constexpr std::uint8_t request_identities = 11;
constexpr std::uint8_t identities_answer = 12;
constexpr std::uint8_t sign = 13;
constexpr std::uint8_t sign_response = 14;
constexpr std::uint8_t extension_failure = 28;

std::string whole(std::uint8_t type, std::string_view content) {
    std::string message;
    base::append_ssh_number(message, static_cast<std::uint32_t>(1 + content.size()));
    message += static_cast<char>(type);
    message += content;
    return message;
}

std::unexpected<Error> no_answer() {
    return fail(EPROTO, "the ssh agent does not answer as an agent does");
}

/// What stands behind the type of an answer that is of this one.
Result<base::SshReader> content_of(std::string_view answer, std::uint8_t wanted) {
    base::SshReader reader{answer};
    const auto type = reader.byte();
    if (type == failure || type == extension_failure)
        return fail(EACCES, "the ssh agent refuses");
    if (type != wanted)
        return no_answer();
    return reader;
}

} // namespace

std::string list_request() {
    return whole(request_identities, {});
}

Result<std::string> sign_request(std::string_view blob, std::string_view bytes) {
    if (blob.size() > max_agent_message / 4 || bytes.size() > max_agent_message / 4)
        return fail(EMSGSIZE, "asking the ssh agent for a signature");
    std::string content;
    base::append_ssh_string(content, blob);
    base::append_ssh_string(content, bytes);
    base::append_ssh_number(content, 0); // flags: those there are choose a hash of RSA's
    return whole(sign, content);
}

Result<AgentKeys> read_keys(std::string_view answer) {
    auto content = content_of(answer, identities_answer);
    if (!content)
        return std::unexpected{content.error()};
    const auto count = content->number();
    if (!count)
        return no_answer();
    if (*count > max_agent_keys)
        return fail(E2BIG,
                    "the ssh agent has more than " + std::to_string(max_agent_keys) + " keys");
    AgentKeys found;
    for (std::uint32_t i = 0; i < *count; ++i) {
        const auto blob = content->string();
        const auto comment = content->string();
        if (!blob || !comment)
            return no_answer();
        if (parse_security_key(*blob))
            found.keys.push_back(
                {std::string{*blob}, std::string{comment->substr(0, max_comment_bytes)}});
        else
            ++found.others;
    }
    if (!content->is_at_end())
        return no_answer();
    return found;
}

Result<std::string> read_signature(std::string_view answer) {
    auto content = content_of(answer, sign_response);
    if (!content)
        return std::unexpected{content.error()};
    const auto signature = content->string();
    if (!signature || !content->is_at_end())
        return no_answer();
    return std::string{*signature};
}

} // namespace vigil::wire
