#pragma once
// What the files that ask for proofs and count them have in common. Private to daemon/core.

#include "daemon/core/state.hpp"

namespace vigil::core {

inline constexpr const char* cannot_write = "vigil cannot write its state; see `vigilctl status`.";
inline constexpr const char* cannot_check = "vigil cannot check codes now; see `vigilctl status`.";
inline constexpr const char* cannot_tell_who = "vigil cannot tell who asks.";

inline wire::AskReply denied(std::string why) {
    return {.verdict = wire::AskReply::Verdict::denied, .text = std::move(why)};
}

inline wire::AskReply allowed(std::string why) {
    return {.verdict = wire::AskReply::Verdict::allowed, .text = std::move(why)};
}

/// "2026-11-30 09:12", where the machine is.
std::string date_text(WallTime when, Seconds utc_offset);

/// What the policy says of everyone who stands behind the command, the strictest of it, and of two
/// who are asked both; without what the person still has time to enrol: where nothing is left the
/// verdict is `none`.
policy::StepUpDecision strictest(const policy::Policy& policy, const StepUpAsked& asked,
                                 const Now& now);

/// What the session rules ask of a login, as a decision of the same shape: valid_for is how long
/// the source is remembered.
policy::StepUpDecision login_decision(const policy::Policy& policy, const policy::Facts& facts,
                                      const Now& now);

/// Of a decision that asks for a proof: what the grant that it may lead to is for.
std::string purpose_of(const std::vector<std::string>& purposes, const StepUpAsked& asked,
                       const policy::StepUpDecision& decision);

/// An audit line about whoever has to prove something; what is refused is named.
Audit about(AuditKind kind, const StepUpAsked& asked, std::string text);

/// One about a login that is asked again from now on.
Audit about(const RememberedLogin& login, std::string text);

/// nullopt: there is nothing that would tell one terminal from another.
std::optional<Place> place_of(const StepUpAsked& asked, const policy::StepUpDecision& decision,
                              const Tracked& session);

bool same_binding(const GrantRecord& grant, const StepUpAsked& asked,
                  const std::optional<Place>& place, const std::string& purpose);

/// Whether a proof can count for more than the one command. Whom sudo runs it as is known but where
/// it is in another group than his own (`sudo -g`): a proof for one such would count for any.
/// Nor does what two rules ask for: a grant is of one.
bool can_last(const StepUpAsked& asked, const policy::StepUpDecision& decision);

/// What of the ways that this person can go is still to be proved.
policy::Factors missing(const policy::StepUpDecision& decision, const StepUpAsked& asked,
                        const policy::Factors& proved);

/// Of a person who has none of what is asked for: who gives him what.
std::string no_factor_text(const StepUpAsked& asked, const policy::StepUpDecision& decision);

/// Whether one of the ways has been gone to its end.
bool suffices(const policy::StepUpDecision& decision, const policy::Factors& proved);

/// "password and totp".
std::string listed(const policy::Factors& factors);

std::vector<std::string> names_of(const policy::Factors& factors);

} // namespace vigil::core
