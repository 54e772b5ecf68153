// Enrolling, listing and forgetting what a person can prove.

#include "base/clock.hpp"
#include "base/secret.hpp"
#include "daemon/bus/factor_words.hpp"
#include "daemon/bus/parse.hpp"
#include "daemon/bus/source.hpp"

#include <cerrno>

namespace vigil::bus {

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

Result<> Api::enroll_totp(const Call& call) {
    const auto user = read<std::string>(call);
    const auto name = read<std::string>(call);
    const auto words = read<std::string>(call); // the proof behind it the table has judged
    const auto kind = words ? factors::totp_kind_of(*words) : std::nullopt;
    if (!user || !name || !kind)
        return fail(wire::code_invalid, enroll_totp_takes);
    if (!factors_)
        return std::unexpected{no_factors(call)};
    const auto person = person_named(call, *user);
    if (!person)
        return std::unexpected{person.error()};
    auto enrollment =
        factors_->enroll_totp(person->uid, person->name, *name, *kind, base::read_clocks());
    if (!enrollment)
        return std::unexpected{as_answer(enrollment.error())};
    reply(call, [&](auto& sink) { return wire::append(sink, *enrollment); });
    base::wipe(enrollment->secret.data(), enrollment->secret.size());
    base::wipe(enrollment->uri.data(), enrollment->uri.size());
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
        return fail(wire::code_not_found, "There is no such factor waiting for its proof.");
    const auto finished = factors_->finish(*id, *owner, code.view(), base::read_clocks());
    if (!finished) {
        if (finished.error().code == EACCES)
            shell_.dispatch(core::CodeRefused{*owner, name_of(*owner),
                                              factors_->wrong_in_a_row(*owner).value_or(0)});
        return std::unexpected{as_answer(finished.error())};
    }
    shell_.dispatch(core::FactorsChanged{*owner});
    tell_factor(core::FactorNews::What::enrolled, *owner, "an authenticator, by " + orderer(call));
    reply(call, [](auto&) { return Result<>{}; });
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
    tell_factor(core::FactorNews::What::enrolled, person->uid,
                "recovery codes, by " + orderer(call));
    wire::RecoveryCodes shown;
    if (!codes->empty())
        shown.lines.reserve(codes->size() * (codes->front().view().size() + 1)); // grown at once
    for (const auto& code : *codes)
        shown.lines.append(code.view()).append(1, '\n');
    reply(call, [&](auto& sink) { return wire::append(sink, shown); });
    base::wipe(shown.lines.data(), shown.lines.size());
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
    reply(call, [&](auto& sink) { return wire::append(sink, *factors); });
    return {};
}

Result<> Api::forget(const Call& call) {
    const auto id = read<std::string>(call);
    if (!id)
        return std::unexpected{id.error()};
    const auto owner = owner_of_factor(*id);
    if (!owner)
        return fail(wire::code_not_found, "There is no such factor.");
    // What the table has looked at may have changed while polkit asked.
    const auto gone =
        call.is_operators ? factors_->forget(*id) : factors_->forget_own(*id, call.uid);
    if (!gone && gone.error().code == EPERM)
        return fail(wire::code_denied, last_factor_text(*id));
    if (!gone)
        return std::unexpected{as_answer(gone.error())};
    shell_.dispatch(core::FactorsChanged{*owner});
    tell_factor(core::FactorNews::What::forgotten, *owner, *id + ", by " + orderer(call));
    reply(call, [](auto&) { return Result<>{}; });
    return {};
}

} // namespace vigil::bus
