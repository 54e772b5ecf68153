#include "cli/touch.hpp"

#include "base/accounts.hpp"
#include "base/log.hpp"
#include "base/process.hpp"
#include "wire/security_key.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

namespace vigil::cli {

namespace {

constexpr const char* how_to_get_one =
    "log in with `ssh -A`, or start one with `eval $(ssh-agent)` and add the key with ssh-add";

Error in_words(const Error& error) {
    switch (error.code) {
    case ENOENT:
    case ECONNREFUSED:
        return {error.code,
                std::string{"there is no ssh agent where SSH_AUTH_SOCK says: "} + how_to_get_one};
    case EACCES:
        return {error.code, "the ssh agent does not let you"};
    case ETIMEDOUT:
        return {error.code, "the ssh agent did not answer in time"};
    default:
        return {error.code, error.text()};
    }
}

/// As whom the agent can be asked.
std::vector<wire::Agent> candidates(const std::string& socket) {
    std::vector<wire::Agent> agents{{socket, ::geteuid(), ::getegid()}};
    const auto login =
        ::geteuid() == 0 ? base::read_login_uid(::getpid()) : Result<uid_t>{static_cast<uid_t>(-1)};
    if (!login || *login == 0 || *login == static_cast<uid_t>(-1))
        return agents;
    const auto account = base::find_account(*login);
    if (account && *account)
        agents.push_back({socket, (*account)->uid, (*account)->group});
    return agents;
}

} // namespace

Result<PersonsAgent> PersonsAgent::find() {
    const char* const socket = std::getenv("SSH_AUTH_SOCK");
    if (socket == nullptr || *socket == 0)
        return fail(ENOENT, std::string{"there is no ssh agent, SSH_AUTH_SOCK is not set: "} +
                                how_to_get_one);
    Error last;
    for (auto& agent : candidates(socket)) {
        auto has = agent.list();
        if (has)
            return PersonsAgent{std::move(agent), std::move(*has)};
        last = has.error();
        if (last.code != EACCES)
            break;
    }
    return std::unexpected{in_words(last)};
}

Result<std::string> PersonsAgent::touch(const wire::AgentKey& key, const wire::Challenge& challenge,
                                        const char* words) const {
    std::fprintf(stderr, "%s %s\n", words, shown(key).c_str());
    auto signature = agent_.sign(key.blob, bytes_of(challenge));
    if (!signature && signature.error().code == ETIMEDOUT)
        return fail(ETIMEDOUT, "the ssh agent did not answer in time; was the key touched?");
    if (!signature && signature.error().code == EACCES)
        return fail(EACCES,
                    std::string{"the ssh agent gave no signature: "} + wire::why_not_signed);
    if (!signature)
        return std::unexpected{in_words(signature.error())};
    return signature;
}

std::string shown(const wire::AgentKey& key) {
    return wire::fingerprint_of(key.blob) + " (" + base::escape(key.comment) + ")";
}

} // namespace vigil::cli
