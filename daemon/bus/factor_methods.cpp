// Enrolling, listing and forgetting what a person can prove.

#include "base/clock.hpp"
#include "base/secret.hpp"
#include "daemon/bus/api.hpp"
#include "daemon/shell/facts.hpp"
#include "wire/codec.hpp"
#include "wire/names.hpp"

namespace vigil::bus {

std::optional<uid_t> Api::owner_of_factor(const std::string& id) {
    if (!factors_)
        return std::nullopt;
    const auto owner = factors_->owner_of(id);
    if (!owner)
        return std::nullopt;
    return *owner;
}

/// The words of a broken store name its place: for root alone.
std::string Api::factors_error_for(const Call& call) const {
    return call.uid == 0 ? factors_error_ : "see the journal";
}

/// Root enrols for anybody. Who has a code already adds another by proving that one; the first is
/// an administrator's to give, or whoever sits down at an open terminal could make it his own.
Result<> Api::enroll_totp(const Call& call) {
    const auto user = wire::read<std::string>(call.get());
    const auto name = wire::read<std::string>(call.get());
    auto typed = wire::read<std::string>(call.get());
    if (!user || !name || !typed)
        return fail("EnrollTotp takes a user, a name and a code");
    const base::Secret code{std::move(*typed)};
    // A name of somebody else is not looked up: that could take long, and would tell who is known.
    if (call.uid != 0 && !user->empty() && *user != caller_name(call)) {
        reply_error(call, wire::error_denied, "Only an administrator enrols for others.");
        return {};
    }
    if (!factors_)
        return fail("No factor can be enrolled: " + factors_error_for(call));
    const auto person = user->empty() ? caller_name(call) : *user;
    const auto uid = call.uid == 0 ? shell::uid_of(person) : Result<uid_t>{call.uid};
    if (!uid)
        return std::unexpected{uid.error()};
    const auto now = base::read_clocks();
    if (call.uid != 0) {
        if (!factors_->has_active(*uid).value_or(false)) {
            reply_error(call, wire::error_denied,
                        "The first code is enrolled by an administrator: `vigilctl enroll totp " +
                            person + "` as root.");
            return {};
        }
        const auto attempt = shell_.fresh_id().bytes;
        const auto checked = factors_->check_totp(*uid, code.view(), attempt, now);
        if (!checked || checked->verdict != factors::CheckOutcome::Verdict::accepted) {
            reply_error(call, wire::error_denied,
                        "Prove the code you have first: --code with what it shows now.");
            return {};
        }
    }
    const auto enrollment = factors_->enroll_totp(*uid, person, *name, now);
    if (!enrollment)
        return std::unexpected{enrollment.error()};
    reply(call, [&](auto* message) { return wire::append(message, *enrollment); });
    return {};
}

Result<> Api::enroll_finish(const Call& call) {
    const auto id = wire::read<std::string>(call.get());
    auto typed = wire::read<std::string>(call.get());
    if (!id || !typed)
        return fail("EnrollFinish takes a factor and a code");
    const base::Secret code{std::move(*typed)};
    const auto owner = owner_of_factor(*id);
    if (!owner) {
        reply_error(call, wire::error_not_found, "There is no such factor waiting for its code.");
        return {};
    }
    const auto finished = factors_->finish(*id, *owner, code.view(), base::read_clocks());
    if (!finished) {
        reply_error(call,
                    finished.error().code == EACCES ? wire::error_denied : wire::error_invalid,
                    finished.error().text());
        return {};
    }
    shell_.dispatch(core::FactorsChanged{*owner});
    reply(call, [](auto*) { return Result<>{}; });
    return {};
}

Result<> Api::list_factors(const Call& call) {
    const auto user = wire::read<std::string>(call.get());
    if (!user)
        return std::unexpected{user.error()};
    const bool root = call.uid == 0;
    if (!root && !user->empty() && *user != caller_name(call)) {
        reply_error(call, wire::error_denied, "These are not your factors.");
        return {};
    }
    if (!factors_)
        return fail("No factor can be listed: " + factors_error_for(call));
    std::optional<std::uint32_t> whose;
    if (!root)
        whose = call.uid;
    else if (!user->empty()) {
        const auto uid = shell::uid_of(*user);
        if (!uid)
            return std::unexpected{uid.error()};
        whose = *uid;
    }
    const auto factors = factors_->list(whose, base::read_clocks());
    if (!factors)
        return std::unexpected{factors.error()};
    reply(call, [&](auto* message) { return wire::append(message, *factors); });
    return {};
}

Result<> Api::forget(const Call& call) {
    const auto id = wire::read<std::string>(call.get());
    if (!id)
        return std::unexpected{id.error()};
    const auto owner = owner_of_factor(*id);
    if (!owner) {
        reply_error(call, wire::error_not_found, "There is no such factor.");
        return {};
    }
    if (const auto gone = factors_->forget(*id); !gone)
        return std::unexpected{gone.error()};
    shell_.dispatch(core::FactorsChanged{*owner});
    reply(call, [](auto*) { return Result<>{}; });
    return {};
}

} // namespace vigil::bus
