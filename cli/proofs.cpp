#include "cli/proofs.hpp"

#include "base/log.hpp"
#include "cli/touch.hpp"
#include "wire/security_key.hpp"

#include <algorithm>
#include <cstdio>
#include <iostream>

#include <pwd.h>
#include <unistd.h>

namespace vigil::cli {

namespace {

bool read_code(std::string& code) {
    std::string line;
    if (!std::getline(std::cin, line))
        return false;
    code.clear();
    for (const char c : line) {
        if (c != ' ' && c != '\r' && c != '\t')
            code += c;
    }
    return true;
}

/// What one of the person's keys that count has signed, if his agent has one.
Result<std::string> proof_by_touch(const Client& client) {
    const auto challenge = client.key_challenge(own_name());
    if (!challenge)
        return std::unexpected{challenge.error()};
    const auto agent = PersonsAgent::find();
    if (!agent)
        return std::unexpected{agent.error()};
    const auto& keys = agent->has().keys;
    const auto key = std::ranges::find_if(keys, [&](const wire::AgentKey& one) {
        return std::ranges::find(challenge->keys, wire::fingerprint_of(one.blob)) !=
               challenge->keys.end();
    });
    if (key == keys.end())
        return fail("the ssh agent has none of the security keys that count for you");
    const auto signature = agent->touch(*key,
                                        {.purpose = wire::Challenge::Purpose::manage,
                                         .host = challenge->host,
                                         .user = challenge->user,
                                         .nonce = challenge->nonce},
                                        "Touch the security key that you have already:");
    if (!signature)
        return signature;
    return text_of(wire::KeyAnswer{.blob = key->blob, .signature = *signature});
}

} // namespace

std::string own_name() {
    const passwd* const entry = getpwuid(getuid());
    return entry != nullptr ? entry->pw_name : std::to_string(getuid());
}

bool ask_for_code(std::string& code, const char* question, bool person) {
    if (person) {
        std::fputs(question, stdout);
        std::fflush(stdout);
    }
    return read_code(code);
}

base::Secret proof_of(const Client& client, bool person) {
    const auto own = geteuid() == 0
                         ? std::vector<wire::Factor>{}
                         : client.factors(own_name()).value_or(std::vector<wire::Factor>{});
    const auto has = [&](std::string_view kind) {
        return std::ranges::any_of(own, [&](const wire::Factor& factor) {
            return factor.active && factor.kind.starts_with(kind);
        });
    };
    if (has("totp")) {
        std::string code;
        ask_for_code(code, "Code of a device that you have already: ", person);
        return base::Secret{std::move(code)};
    }
    if (!has("key")) {
        std::string code;
        if (has("recovery"))
            ask_for_code(code, "One of your recovery codes: ", person);
        return base::Secret{std::move(code)};
    }
    auto proof = proof_by_touch(client);
    if (!proof) {
        std::fprintf(stderr, "vigilctl: %s\n", base::escape(proof.error().what).c_str());
        return {};
    }
    return base::Secret{std::move(*proof)};
}

Result<base::Secret> proof_to_enroll(const Client& client, bool by_ticket, bool person) {
    if (!by_ticket)
        return proof_of(client, person);
    std::string ticket;
    if (!ask_for_code(ticket, "Ticket: ", person) || ticket.empty())
        return fail("no ticket was given");
    return base::Secret{std::move(ticket)};
}

} // namespace vigil::cli
