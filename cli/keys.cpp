// enroll key.

#include "base/base64.hpp"
#include "base/log.hpp"
#include "base/number.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "cli/password_agent.hpp"
#include "cli/proofs.hpp"
#include "cli/touch.hpp"
#include "wire/security_key.hpp"

#include <cstdio>
#include <iostream>

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace vigil::cli {

namespace {

/// What a plain key is told, and why.
std::string none_of(const wire::AgentKeys& has) {
    std::string words = "the ssh agent has no key of a security key (sk-ssh-ed25519, "
                        "sk-ecdsa-sha2-nistp256)";
    if (has.others > 0)
        words += "; the " + std::to_string(has.others) +
                 " that it has are plain: such a key signs without a touch, so it proves nobody's "
                 "presence";
    return words;
}

/// All that chatter is for a person, and stdout may be a program's.
Result<wire::AgentKey> ask_which(const std::vector<wire::AgentKey>& keys) {
    std::fputs("The ssh agent has these security keys:\n", stderr);
    for (std::size_t i = 0; i < keys.size(); ++i)
        std::fprintf(stderr, "  %zu  %s\n", i + 1, shown(keys[i]).c_str());
    if (isatty(STDIN_FILENO) == 0)
        return fail("say which with --key and its fingerprint");
    std::fprintf(stderr, "Which one? [1-%zu] ", keys.size());
    std::string line;
    std::getline(std::cin, line);
    std::size_t number = 0;
    if (!base::parse_number(line, number) || number == 0 || number > keys.size())
        return fail("that is none of them");
    return keys[number - 1];
}

Result<wire::AgentKey> choose(const wire::AgentKeys& has, const std::string& fingerprint) {
    if (has.keys.empty())
        return fail(none_of(has));
    for (const auto& key : has.keys)
        if (wire::fingerprint_of(key.blob) == fingerprint)
            return key;
    if (!fingerprint.empty())
        return fail("the ssh agent has no security key " + fingerprint);
    return has.keys.size() == 1 ? has.keys.front() : ask_which(has.keys);
}

void tell(const wire::KeyEnrollment& enrollment, const wire::AgentKey& key, bool json) {
    const auto fingerprint = wire::fingerprint_of(key.blob);
    if (!json) {
        std::printf("Active: %s. To remove it: vigilctl forget %s\n", fingerprint.c_str(),
                    base::escape(enrollment.factor_id).c_str());
        return;
    }
    const nlohmann::ordered_json told{{"id", enrollment.factor_id},
                                      {"user", enrollment.user},
                                      {"kind", "key"},
                                      {"fingerprint", fingerprint}};
    std::fputs(json_text(told).c_str(), stdout);
}

} // namespace

int enroll_key(const Context& context, const EnrollingKey& what) {
    const auto agent = PersonsAgent::find();
    if (!agent)
        return complain(fail(agent.error().what).error());
    const auto key = choose(agent->has(), what.key);
    if (!key)
        return complain(key.error());
    const Client client{context.socket};
    const bool person = isatty(STDIN_FILENO) != 0;
    const auto proof = proof_to_enroll(client, what.by_ticket, person);
    if (!proof)
        return complain(proof.error());
    const auto enrollment = [&] {
        const PasswordAgent password_agent;
        return client.enroll_key(what.user.empty() ? own_name() : what.user, what.name,
                                 std::string{proof->view()});
    }();
    if (!enrollment)
        return complain(enrollment.error());
    const auto signature = agent->touch(*key,
                                        {.purpose = wire::Challenge::Purpose::enroll,
                                         .host = enrollment->host,
                                         .user = enrollment->user,
                                         .nonce = enrollment->nonce},
                                        "Touch the security key:");
    if (!signature)
        return complain(fail(signature.error().what).error());
    const auto done = client.enroll_key_finish(enrollment->factor_id, wire::line_of_blob(key->blob),
                                               base::base64_encode(*signature));
    if (!done)
        return complain(done.error());
    tell(*enrollment, *key, what.json);
    return 0;
}

} // namespace vigil::cli
