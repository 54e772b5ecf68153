// Security keys as a proof for a privileged command: what they sign, and what was signed.

#include "base/clock.hpp"
#include "base/console.hpp"
#include "base/openssl.hpp"
#include "daemon/bus/factor_words.hpp"
#include "daemon/bus/question.hpp"
#include "daemon/bus/source.hpp"
#include "wire/challenge.hpp"
#include "wire/security_key.hpp"

#include <algorithm>

namespace vigil::bus {

namespace {

using Owner = std::pair<pid_t, std::uint64_t>;

Owner owner_of(const core::StepUpAsked& asked) {
    return {asked.asker.pid, asked.asker.start_time};
}

/// Of all that is known of what is to run, each field with its length.
Result<std::string> digest_of(const core::StepUpAsked& asked) {
    const auto& command = asked.target.command;
    if (!command)
        return std::string{};
    std::string text;
    const auto add = [&](const std::string& field) {
        text += std::to_string(field.size()) + ":" + field;
    };
    add(command->path);
    add(command->named);
    add(command->link);
    add(asked.directory);
    add(command->edits ? "edits" : "runs");
    add(command->cut ? "cut" : "whole");
    for (const auto& argument : command->arguments)
        add(argument);
    return base::digest(base::Hash::sha256, text);
}

Result<std::string> bytes_to_sign(const core::StepUpAsked& asked, const std::string& host,
                                  const factors::Nonce& nonce) {
    auto digest = digest_of(asked);
    if (!digest)
        return digest;
    return bytes_of(wire::Challenge{
        .purpose = wire::Challenge::Purpose::step_up,
        .host = host,
        .user = asked.subjects.front().user,
        .session = asked.session ? asked.session->text() : std::string{},
        .terminal = asked.terminal == 0 ? std::string{}
                                        : base::terminal_name(static_cast<dev_t>(asked.terminal)),
        .run_as = asked.target.run_as.value_or(""),
        .command_digest = std::move(*digest),
        .nonce = nonce});
}

core::ProofChecked::Outcome outcome_of(const factors::KeyOutcome& checked) {
    using Verdict = factors::KeyOutcome::Verdict;
    switch (checked.verdict) {
    case Verdict::accepted:
        return core::ProofChecked::Outcome::accepted;
    case Verdict::untouched:
        return core::ProofChecked::Outcome::untouched;
    case Verdict::throttled:
        return core::ProofChecked::Outcome::throttled;
    case Verdict::wrong:
    case Verdict::counted_back:
        break;
    }
    return core::ProofChecked::Outcome::wrong;
}

} // namespace

Result<> Api::challenge(const Call& call) {
    return ask_key(call, read_question(call, With::nothing));
}

Result<> Api::challenge_command(const Call& call) {
    return ask_key(call, read_question(call, With::command));
}

Result<> Api::ask_key(const Call& call, const Result<Question>& question) {
    if (!question)
        return std::unexpected{question.error()};
    if (!factors_)
        return std::unexpected{no_factors(call)};
    const auto asked = gather_all(*question);
    if (!asked)
        return std::unexpected{asked.error()};
    auto keys = factors_->keys_of(asked->subjects.front().uid);
    if (!keys)
        return fail(wire::code_broken, keys.error().text());
    const auto drawn = base::random_bytes(std::tuple_size_v<factors::Nonce>);
    if (!drawn)
        return fail(wire::code_broken, drawn.error().text());
    factors::Nonce nonce{};
    std::ranges::copy(*drawn, nonce.begin());
    if (const auto kept = step_up_nonces_.put(owner_of(*asked), asked->subjects.front().uid, nonce,
                                              base::read_boot_time());
        !kept)
        return std::unexpected{as_answer(kept.error())};
    auto bytes = bytes_to_sign(*asked, factors_->host(), nonce);
    if (!bytes)
        return fail(wire::code_broken, bytes.error().text());
    const wire::KeyQuestion to_sign{.bytes = std::move(*bytes), .keys = std::move(*keys)};
    reply(call, [&](auto& sink) { return wire::append(sink, to_sign); });
    return {};
}

/// What is judged is the question as it stands now: a signature for another one is none.
void Api::judge_key(core::ProofChecked& checked, std::string_view answer,
                    const std::array<std::uint8_t, 16>& attempt, const Now& now) {
    const auto& asked = checked.request;
    checked.outcome = core::ProofChecked::Outcome::wrong;
    const auto nonce = step_up_nonces_.take(owner_of(asked), now.boot);
    const auto signed_by = wire::key_answer_of(answer);
    if (!nonce || !signed_by || !factors_)
        return;
    const auto bytes = bytes_to_sign(asked, factors_->host(), *nonce);
    const auto& person = asked.subjects.front();
    const auto source =
        source_of(asked.session ? shell_.machine().view(*asked.session) : std::nullopt);
    const auto outcome = bytes ? factors_->check_key(person.uid, source, signed_by->blob, *bytes,
                                                     signed_by->signature, attempt, now)
                               : Result<factors::KeyOutcome>{std::unexpected{bytes.error()}};
    if (!outcome) {
        checked.outcome = core::ProofChecked::Outcome::unavailable;
        return;
    }
    if (outcome->verdict == factors::KeyOutcome::Verdict::counted_back)
        tell_copied_key(signed_by->blob, person.uid);
    checked.outcome = outcome_of(*outcome);
    checked.wait = outcome->wait;
    checked.failures = outcome->failures;
    checked.verified = outcome->verified;
}

} // namespace vigil::bus
