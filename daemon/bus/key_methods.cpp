// Enrolling security keys, and proving by one that factors may be changed.

#include "base/base64.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/openssl.hpp"
#include "daemon/bus/factor_words.hpp"
#include "daemon/bus/parse.hpp"
#include "daemon/factors/ssh_key.hpp"
#include "wire/challenge.hpp"

#include <algorithm>

namespace vigil::bus {

void Api::tell_copied_key(std::string_view blob, uid_t uid) {
    tell_factor(core::FactorNews::What::key_copied, uid,
                "the security key " + wire::fingerprint_of(blob) +
                    " counts less signatures than before, so there may be a copy of it: refused");
}

Result<> Api::enroll_key(const Call& call) {
    const auto user = read<std::string>(call);
    const auto name = read<std::string>(call); // the proof behind it the table has judged
    if (!user || !name)
        return fail(wire::code_invalid, "EnrollKey takes a user, a name and a proof.");
    if (!factors_)
        return std::unexpected{no_factors(call)};
    const auto person = person_named(call, *user);
    if (!person)
        return std::unexpected{person.error()};
    const auto enrollment =
        factors_->enroll_key(person->uid, person->name, *name, base::read_clocks());
    if (!enrollment)
        return std::unexpected{as_answer(enrollment.error())};
    reply(call, [&](auto& sink) { return wire::append(sink, *enrollment); });
    return {};
}

Result<> Api::enroll_key_finish(const Call& call) {
    const auto id = read<std::string>(call);
    const auto line = read<std::string>(call);
    const auto typed = read<std::string>(call);
    const auto signature = typed ? base::base64_decode(*typed) : std::nullopt;
    if (!id || !line || !signature || !factors::parse_key_signature(*signature))
        return fail(wire::code_invalid, "EnrollKeyFinish takes a factor, a public key of a "
                                        "security key, and what it has signed.");
    const auto blob = wire::blob_of_line(*line);
    if (!blob)
        return std::unexpected{as_answer(blob.error())};
    const auto owner = owner_of_factor(*id);
    if (!owner)
        return fail(wire::code_not_found, "There is no such factor waiting for its proof.");
    const auto finished = factors_->finish_key(*id, *owner, *blob, *signature, base::read_clocks());
    if (!finished)
        return std::unexpected{as_answer(finished.error())};
    shell_.dispatch(core::FactorsChanged{*owner});
    tell_factor(core::FactorNews::What::enrolled, *owner,
                "the security key " + wire::fingerprint_of(*blob) + ", by " + orderer(call));
    reply(call, [](auto&) { return Result<>{}; });
    return {};
}

Result<> Api::key_challenge(const Call& call) {
    const auto user = read<std::string>(call);
    if (!user)
        return std::unexpected{user.error()};
    if (!factors_)
        return std::unexpected{no_factors(call)};
    const auto person = person_named(call, *user);
    if (!person)
        return std::unexpected{person.error()};
    const auto keys = factors_->keys_of(person->uid);
    if (!keys)
        return fail(wire::code_broken, keys.error().text());
    wire::KeyChallenge challenge{.host = factors_->host(), .user = person->name};
    for (const auto& blob : *keys)
        challenge.keys.push_back(wire::fingerprint_of(blob));
    // For whom nothing could be proved nothing is kept.
    if (!keys->empty()) {
        const auto nonce = base::random_bytes(challenge.nonce.size());
        if (!nonce)
            return fail(wire::code_broken, nonce.error().text());
        std::ranges::copy(*nonce, challenge.nonce.begin());
        if (const auto kept =
                key_nonces_.put(person->uid, person->uid, challenge.nonce, base::read_boot_time());
            !kept)
            return std::unexpected{as_answer(kept.error())};
    }
    reply(call, [&](auto& sink) { return wire::append(sink, challenge); });
    return {};
}

Result<> Api::prove_own_key(const Call& call, const wire::KeyAnswer& answer) {
    using Verdict = factors::KeyOutcome::Verdict;
    const auto denied = fail(wire::code_denied, "That is nothing that a key of yours has signed "
                                                "just now: a touch of one adds another.");
    const auto now = base::read_clocks();
    const auto nonce = key_nonces_.take(call.uid, now.boot);
    if (!nonce)
        return denied;
    const auto user = caller_name(call);
    const auto bytes = bytes_of(wire::Challenge{.purpose = wire::Challenge::Purpose::manage,
                                                .host = factors_->host(),
                                                .user = user,
                                                .nonce = *nonce});
    const auto checked = factors_->check_key(call.uid, source_of_caller(call), answer.blob, bytes,
                                             answer.signature, shell_.fresh_id().bytes, now);
    if (!checked)
        return fail(wire::code_broken, checked.error().text());
    if (checked->verdict == Verdict::counted_back)
        tell_copied_key(answer.blob, call.uid);
    shell_.dispatch(core::CodeRefused{call.uid, user, checked->failures});
    if (checked->verdict == Verdict::throttled)
        return std::unexpected{too_many_wrong(checked->wait)};
    if (checked->verdict != Verdict::accepted)
        return denied;
    return {};
}

} // namespace vigil::bus
