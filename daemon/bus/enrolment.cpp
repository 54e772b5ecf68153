// Who may change somebody's factors: by a factor that he has, by a ticket, and at the very first by
// his password, which polkit asks for. vigild runs no PAM stack, and vigilctl, which is its user's
// own, could say of any password that it was right.

#include "base/clock.hpp"
#include "base/duration.hpp"
#include "base/log.hpp"
#include "base/secret.hpp"
#include "daemon/bus/factor_words.hpp"
#include "daemon/bus/parse.hpp"
#include "daemon/bus/source.hpp"
#include "wire/answer.hpp"

namespace vigil::bus {

namespace {

constexpr const char* how_to_get_a_ticket =
    "an administrator gives a ticket, by `vigilctl enroll ticket ";

} // namespace

factors::Source Api::source_of_caller(const Call& call) {
    const auto session = call.pid > 0 ? shell_.session_of(call.pid) : std::nullopt;
    return source_of(session ? shell_.machine().view(*session) : std::nullopt);
}

void Api::tell_factor(core::FactorNews::What what, uid_t uid, std::string text) {
    shell_.dispatch(
        core::FactorNews{.what = what, .uid = uid, .user = name_of(uid), .text = std::move(text)});
}

Result<> Api::prove_own(const Call& call, std::string_view proof) {
    using Kind = factors::Factors::Proof;
    if (!factors_)
        return std::unexpected{no_factors(call)};
    if (const auto answer = wire::key_answer_of(proof))
        return prove_own_key(call, *answer);
    const auto has = factors_->active(call.uid).value_or(factors::Factors::Active{});
    const bool by_recovery = has.recovery && (!has.totp || wire::recovery_code(proof));
    if (!has.any())
        return fail(wire::code_denied, "You have no factor to prove this by: an administrator does "
                                       "it for " +
                                           caller_name(call) + " as root.");
    if (!has.totp && has.key && !(has.recovery && wire::recovery_code(proof)))
        return fail(wire::code_denied, "A touch of a security key that you have adds another "
                                       "factor: the ssh agent has to have it.");
    const auto checked =
        factors_->check(by_recovery ? Kind::recovery : Kind::totp, call.uid, source_of_caller(call),
                        proof, shell_.fresh_id().bytes, base::read_clocks());
    if (checked)
        shell_.dispatch(core::CodeRefused{call.uid, caller_name(call), checked->failures});
    if (checked && checked->verdict == factors::CheckOutcome::Verdict::throttled)
        return std::unexpected{too_many_wrong(checked->wait)};
    if (!checked || checked->verdict != factors::CheckOutcome::Verdict::accepted)
        return fail(wire::code_denied,
                    by_recovery
                        ? "That is none of your recovery codes, one of which proves who you are."
                        : "That is no code of a device that you have: one that it shows now adds "
                          "another.");
    return {};
}

bool Api::never_had_factor(uid_t uid) {
    return factors_ && !factors_->had_factor(uid).value_or(true);
}

/// EnrollTotp's are user, name and kind, EnrollKey's user and name; RenewRecoveryCodes' the user.
Result<> Api::check_enrolment(const Call& call, const std::vector<std::string>& texts) {
    using New = factors::Factors::New;
    if (!factors_)
        return std::unexpected{no_factors(call)};
    if (texts.size() > 2 && !factors::totp_kind_of(texts[2]))
        return fail(wire::code_invalid, enroll_totp_takes);
    const bool has_name = texts.size() > 1;
    const auto can =
        factors_->check_new(call.uid, has_name ? texts[1] : std::string{},
                            has_name ? New::device : New::recovery, base::read_clocks());
    if (!can)
        return std::unexpected{as_answer(can.error())};
    return {};
}

Result<Allowed> Api::allow_enrolling(const Call& call, std::string_view proof) {
    if (!factors_)
        return std::unexpected{no_factors(call)};
    const auto user = caller_name(call);
    const auto has = factors_->active(call.uid);
    if (!has)
        return fail(wire::code_broken, has.error().text());
    const bool by_ticket = wire::ticket(proof) || (!has->any() && !proof.empty());
    if (by_ticket || has->any()) {
        if (const auto proved = by_ticket ? use_ticket(call, proof) : prove_own(call, proof);
            !proved)
            return std::unexpected{proved.error()};
        return Allowed{};
    }
    if (!never_had_factor(call.uid))
        return fail(wire::code_denied, "You had a factor before, so your password does not do: " +
                                           std::string{how_to_get_a_ticket} + user + "`.");
    return Allowed{.polkit_action = PolkitAction::enroll_first,
                   .otherwise = {wire::code_denied, "That was not the password of " + user +
                                                        ", so nothing is enrolled."}};
}

Result<Allowed> Api::allow_forgetting(const Call& call, const std::string& id,
                                      std::string_view proof) {
    if (!factors_)
        return std::unexpected{no_factors(call)};
    const auto last = factors_->is_last(id, call.uid);
    if (!last)
        return std::unexpected{as_answer(last.error())};
    if (*last)
        return Allowed{.polkit_action = PolkitAction::manage_factors,
                       .otherwise = {wire::code_denied, last_factor_text(id)}};
    if (const auto proved = prove_own(call, proof); !proved)
        return std::unexpected{proved.error()};
    return Allowed{};
}

Result<> Api::use_ticket(const Call& call, std::string_view proof) {
    using Verdict = factors::CheckOutcome::Verdict;
    lapse_tickets();
    const auto used = factors_->use_ticket(call.uid, source_of_caller(call), proof,
                                           shell_.fresh_id().bytes, base::read_clocks());
    if (!used)
        return fail(wire::code_broken, used.error().text());
    if (used->verdict == Verdict::throttled)
        return std::unexpected{too_many_wrong(used->wait)};
    if (used->verdict != Verdict::accepted) {
        shell_.dispatch(core::CodeRefused{call.uid, caller_name(call), used->failures});
        return fail(wire::code_denied, "That is no ticket of yours, or it was used or is over: " +
                                           std::string{how_to_get_a_ticket} + caller_name(call) +
                                           "`.");
    }
    tell_factor(core::FactorNews::What::ticket_used, call.uid, "used, and gone with that");
    return {};
}

void Api::lapse_tickets() {
    if (!factors_)
        return;
    const auto lapsed = factors_->lapse_tickets(base::read_clocks());
    if (!lapsed) {
        base::log(base::Level::error, "tickets: " + lapsed.error().text());
        return;
    }
    for (const auto& ticket : *lapsed)
        shell_.dispatch(core::FactorNews{.what = core::FactorNews::What::ticket_lapsed,
                                         .uid = ticket.uid,
                                         .user = ticket.user,
                                         .text = "never used; it was made by " + ticket.by});
}

Result<> Api::make_ticket(const Call& call) {
    const auto user = read<std::string>(call);
    const auto lasts = read<std::uint64_t>(call);
    if (!user || user->empty() || !lasts ||
        *lasts > static_cast<std::uint64_t>(factors::longest_ticket.count()))
        return fail(wire::code_invalid,
                    "MakeTicket takes a user, and seconds: a minute at least, 30 days at most.");
    if (!factors_)
        return std::unexpected{no_factors(call)};
    lapse_tickets();
    const auto person = person_named(call, *user);
    if (!person)
        return std::unexpected{person.error()};
    const Seconds time{static_cast<std::int64_t>(*lasts)};
    const auto by = orderer(call);
    const auto ticket =
        factors_->make_ticket(person->uid, person->name, by, time, base::read_clocks());
    if (!ticket)
        return std::unexpected{as_answer(ticket.error())};
    tell_factor(core::FactorNews::What::ticket_made, person->uid,
                "for " + base::duration_text(time) + ", by " + by);
    std::string shown{ticket->view()};
    reply(call, [&](auto& sink) -> Result<> {
        if (const int r = sink.sensitive(); r < 0)
            return fail(r, "marking a message as sensitive");
        return wire::append_text(sink, shown);
    });
    base::wipe(shown.data(), shown.size());
    return {};
}

bool Api::may_ask_polkit(const Call& call, PolkitAction action) {
    std::size_t all = 0;
    for (const auto& [uid, asked] : asked_of_polkit_)
        all += asked;
    auto& own = asked_of_polkit_[call.uid];
    if (all >= max_asked_of_polkit || own >= max_asked_of_polkit_per_user) {
        if (own == 0)
            asked_of_polkit_.erase(call.uid);
        return false;
    }
    ++own;
    if (action == PolkitAction::enroll_first)
        first_enrolments_.insert(call.uid);
    return true;
}

void Api::answered_by_polkit(const Call& call, PolkitAction action) {
    const auto found = asked_of_polkit_.find(call.uid);
    if (found != asked_of_polkit_.end() && --found->second == 0)
        asked_of_polkit_.erase(found);
    if (action == PolkitAction::enroll_first)
        first_enrolments_.erase(call.uid);
}

} // namespace vigil::bus
