// A policy that only observes is enforced for a while, and observes again unless somebody who came
// in meanwhile says that it is good: whoever is in already cannot tell whether people still get in.

#include "daemon/core/step_up.hpp"
#include "wire/names.hpp"
#include "wire/observing.hpp"

namespace vigil::core {

namespace {

constexpr const char* run0_service = "systemd-run0";

Audit about(AuditKind kind, std::string text) {
    return {.kind = kind,
            .session = std::nullopt,
            .user = {},
            .uid = UINT32_MAX,
            .service = {},
            .rule = {},
            .text = std::move(text)};
}

} // namespace

Effects Machine::Data::on(const RehearseAsked& asked, const Now& now) {
    if (policy.mode == policy::Mode::enforce)
        return {refused(asked.token, wire::error_invalid, "vigil enforces on this host already.")};
    const bool is_new = !rehearsal;
    rehearsal =
        Rehearsal{.since = is_new ? now.boot : rehearsal->since, .until = now.boot + asked.lasts};
    Effects effects{about(AuditKind::rehearsal_begun,
                          "rehearsed until " + date_text(now.wall + asked.lasts, now.utc_offset) +
                              " by " + asked.by)};
    if (is_new) {
        store_blocks(now, effects);
        decide_anew(now, effects);
    }
    effects.push_back(done(asked.token));
    return effects;
}

Effects Machine::Data::on(const ObservesByWord&, const Now&) {
    return {about(AuditKind::break_glass,
                  "the kernel's command line has " + std::string{wire::observe_word} +
                      ": nothing is locked, ended or refused until the next boot")};
}

/// Of what sudo started it is the login that counts. The reservation of one that was refused is no
/// session, and what run0 starts is no login from outside.
Effects Machine::Data::on(const RehearsalConfirmed& asked, const Now&) {
    if (!rehearsal && asked.is_running)
        return {refused(asked.token, wire::error_denied,
                        "The rehearsal is over: vigil only observes again.")};
    if (!rehearsal)
        return {done(asked.token)};
    const auto* session = asked.session ? find(*asked.session) : nullptr;
    if (session && is_elevated(session->record))
        session = find(*session->record.login);
    if (session && session->record.state == State::active &&
        session->record.since >= rehearsal->since && session->record.facts.service != run0_service)
        return {done(asked.token)};
    return {refused(asked.token, wire::error_denied,
                    "A rehearsal is confirmed from a login that was made since it began, and since "
                    "the policy was read: log in anew, and say it there.")};
}

/// Whoever could not get in, or back to his terminal, can now.
void Machine::Data::lapse_rehearsal(const Now& now, Effects& effects) {
    if (!rehearsal || rehearsal->until > now.boot)
        return;
    rehearsal.reset();
    effects.push_back(about(AuditKind::rehearsal_over,
                            "the rehearsal is over and nobody has confirmed it: vigil only "
                            "observes again"));
    store_blocks(now, effects);
    std::vector<SessionId> locked;
    for (const auto& [id, session] : sessions)
        if (session.record.state == State::locked)
            locked.push_back(id);
    for (const auto& id : locked)
        std::ranges::move(unlock(UnlockAsked{0, id, "vigil: the rehearsal is over", {}}, now),
                          std::back_inserter(effects));
    decide_anew(now, effects);
}

} // namespace vigil::core
