// Enrolling, listing and forgetting what a person can prove.

#include "base/accounts.hpp"
#include "base/clock.hpp"
#include "base/secret.hpp"
#include "daemon/bus/parse.hpp"
#include "daemon/shell/facts.hpp"

#include <cerrno>

namespace vigil::bus {

namespace {

/// Whom the first argument names; "" is the caller. The table has let others than root name
/// themselves alone, and theirs is the number they called with, whatever the database says now.
Result<base::Account> person_named(const Call& call, const std::string& user) {
    const auto own = caller_name(call);
    if (user.empty() || user == own)
        return base::Account{.name = own, .uid = call.uid};
    const auto uid = shell::uid_of(user);
    if (!uid)
        return std::unexpected{uid.error()};
    return base::Account{.name = user, .uid = *uid};
}

/// What the factors say, in the words of the bus.
Error as_answer(const Error& error) {
    switch (error.code) {
    case ENOENT:
        return {wire::code_not_found, "There is no such factor waiting for its code."};
    case EACCES:
        return {wire::code_denied, error.what};
    case EINVAL:
        return {wire::code_invalid, error.what};
    case EDQUOT:
        return {wire::code_too_many, error.what};
    default:
        return {wire::code_broken, error.text()};
    }
}

} // namespace

std::optional<uid_t> Api::owner_of_factor(const std::string& id) {
    if (!factors_)
        return std::nullopt;
    const auto owner = factors_->owner_of(id);
    if (!owner)
        return std::nullopt;
    return *owner;
}

/// The words of a broken store name its place: for who is shown everything.
Error Api::no_factors(const Call& call) const {
    return {wire::code_broken,
            "Factors cannot be used: " + (call.shown ? "see the journal" : factors_error_)};
}

Result<> Api::prove_own(const Call& call, std::string_view code) {
    if (!factors_)
        return std::unexpected{no_factors(call)};
    if (!factors_->active(call.uid).value_or(factors::Factors::Active{}).totp)
        return fail(wire::code_denied, "The first code is enrolled by an administrator: `vigilctl "
                                       "enroll totp " +
                                           caller_name(call) + "` as root.");
    const auto attempt = shell_.fresh_id().bytes;
    const auto checked = factors_->check_totp(call.uid, code, attempt, base::read_clocks());
    if (!checked || checked->verdict != factors::CheckOutcome::Verdict::accepted)
        return fail(
            wire::code_denied,
            "That is no code of a device that you have: one that it shows now adds another.");
    return {};
}

Result<> Api::enroll_totp(const Call& call) {
    const auto user = read<std::string>(call);
    const auto name = read<std::string>(call);
    const auto words = read<std::string>(call); // the proof behind it the table has judged
    const auto kind = words ? factors::totp_kind_of(*words) : std::nullopt;
    if (!user || !name || !kind)
        return fail(wire::code_invalid, "EnrollTotp takes a user, a name, a kind of codes (totp, "
                                        "totp-8, totp-sha256 and the like) and a code.");
    if (!factors_)
        return std::unexpected{no_factors(call)};
    const auto person = person_named(call, *user);
    if (!person)
        return std::unexpected{person.error()};
    const auto enrollment =
        factors_->enroll_totp(person->uid, person->name, *name, *kind, base::read_clocks());
    if (!enrollment)
        return std::unexpected{as_answer(enrollment.error())};
    reply(call, [&](auto* message) { return wire::append(message, *enrollment); });
    return {};
}

Result<> Api::enroll_finish(const Call& call) {
    const auto id = read<std::string>(call);
    auto typed = read<std::string>(call);
    if (!id || !typed)
        return fail(wire::code_invalid, "EnrollFinish takes a factor and a code.");
    const base::Secret code{std::move(*typed)};
    const auto owner = owner_of_factor(*id);
    if (!owner)
        return fail(wire::code_not_found, "There is no such factor waiting for its code.");
    const auto finished = factors_->finish(*id, *owner, code.view(), base::read_clocks());
    if (!finished)
        return std::unexpected{as_answer(finished.error())};
    shell_.dispatch(core::FactorsChanged{*owner});
    reply(call, [](auto*) { return Result<>{}; });
    return {};
}

Result<> Api::renew_recovery(const Call& call) {
    const auto user = read<std::string>(call); // the proof behind it the table has judged
    if (!user)
        return std::unexpected{user.error()};
    if (!factors_)
        return std::unexpected{no_factors(call)};
    const auto person = person_named(call, *user);
    if (!person)
        return std::unexpected{person.error()};
    const auto codes = factors_->renew_recovery(person->uid, person->name, base::read_clocks());
    if (!codes)
        return std::unexpected{as_answer(codes.error())};
    shell_.dispatch(core::FactorsChanged{person->uid});
    wire::RecoveryCodes shown;
    for (const auto& code : *codes)
        shown.codes.emplace_back(code.view());
    reply(call, [&](auto* message) { return wire::append(message, shown); });
    for (auto& code : shown.codes)
        base::wipe(code.data(), code.size());
    return {};
}

Result<> Api::list_factors(const Call& call) {
    const auto user = read<std::string>(call);
    if (!user)
        return std::unexpected{user.error()};
    if (!factors_)
        return std::unexpected{no_factors(call)};
    std::optional<std::uint32_t> whose = call.shown;
    if (!whose && !user->empty()) {
        const auto person = person_named(call, *user);
        if (!person)
            return std::unexpected{person.error()};
        whose = person->uid;
    }
    const auto factors = factors_->list(whose, base::read_clocks());
    if (!factors)
        return fail(wire::code_broken, factors.error().text());
    reply(call, [&](auto* message) { return wire::append(message, *factors); });
    return {};
}

Result<> Api::forget(const Call& call) {
    const auto id = read<std::string>(call);
    if (!id)
        return std::unexpected{id.error()};
    const auto owner = owner_of_factor(*id);
    if (!owner)
        return fail(wire::code_not_found, "There is no such factor.");
    if (const auto gone = factors_->forget(*id); !gone)
        return fail(wire::code_broken, gone.error().text());
    shell_.dispatch(core::FactorsChanged{*owner});
    reply(call, [](auto*) { return Result<>{}; });
    return {};
}

} // namespace vigil::bus
