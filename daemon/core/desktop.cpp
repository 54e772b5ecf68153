// Graphical sessions: logind asks the desktop to lock itself, and its LockedHint is the answer.

#include "daemon/core/state.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace vigil::core {

namespace {

constexpr const char* silence = "its desktop did not answer within 10 s";

void answer(Token& token, Effects& effects, const char* error = nullptr, std::string why = {}) {
    if (const auto waiting = std::exchange(token, 0); waiting != 0)
        effects.push_back(ReplyDone{.token = waiting, .error = error, .text = std::move(why)});
}

} // namespace

bool is_desktop(const SessionRecord& record) noexcept {
    return record.facts.session_class == policy::SessionClass::graphical;
}

/// Asked and not known yet: the answer comes as DesktopSeen, or not at all.
void ask_desktop(Tracked& session, const Now& now, Effects& effects) {
    session.answer_by = now.boot + desktop_patience;
    if (session.record.state == State::locked)
        effects.push_back(LockDesktop{session.record.id});
    else
        effects.push_back(UnlockDesktop{session.record.id});
}

Effects Machine::Data::on(const DesktopSeen& seen, const Now& now) {
    Effects effects;
    auto* session = find(seen.session);
    if (!session || !is_desktop(session->record))
        return effects;
    auto& record = session->record;
    session->asked_activity.reset();
    bool unlocked = false;
    const bool was_locked = std::exchange(record.desktop_locked, seen.locked);
    if (was_locked != seen.locked)
        effects.push_back(StoreSession{record});
    // Whether work goes on behind a desktop nobody knows: it is not ended for being quiet.
    session->last_output = now.boot;
    switch (record.state) {
    case State::reserved:
    case State::ending:
        break;
    case State::active:
        if (seen.locked)
            session->gaps.clear();
        session->last_input = std::max(
            session->last_input, seen.idle_since ? std::min(*seen.idle_since, now.boot) : now.boot);
        judge_idle(*session, now, effects);
        break;
    case State::locked:
        if (seen.locked)
            desktop_holds(*session, effects);
        else if (was_locked)
            desktop_is_open(*session, AuditKind::session_unlocked, "unlocked by its desktop", now,
                            effects);
        else if (!session->answer_by) // a crash came before it was asked, or before it answered
            ask_desktop(*session, now, effects);
        break;
    case State::unlocking:
        if (!seen.locked)
            unlocked = true;
        break;
    }
    if ((session = find(seen.session)))
        schedule(*session);
    if (unlocked)
        std::ranges::move(on(UnlockDone{seen.session, true, {}}, now), std::back_inserter(effects));
    return effects;
}

void Machine::Data::desktop_holds(Tracked& session, Effects& effects) {
    session.answer_by.reset();
    session.gaps.clear();
    if (!std::exchange(session.lock_told, true))
        effects.push_back(
            audit(AuditKind::session_locked, session, "locked: " + session.record.locked_by));
    answer(session.lock_token, effects);
}

/// Its user proved himself there, or it never locked: what is not locked is not called so.
void Machine::Data::desktop_is_open(Tracked& session, AuditKind kind, const std::string& why,
                                    const Now& now, Effects& effects) {
    session.record.state = State::active;
    session.answer_by.reset();
    session.gaps.clear();
    // It is asked again when nobody was there for as long once more.
    session.last_input = now.boot;
    effects.push_back(StoreSession{session.record});
    effects.push_back(audit(kind, session, why));
}

void Machine::Data::desktop_failed(Tracked& session, const std::string& why, const Now& now,
                                   Effects& effects) {
    session.answer_by.reset();
    if (session.record.state == State::unlocking) {
        session.record.state = State::locked;
        effects.push_back(StoreSession{session.record});
        effects.push_back(audit(AuditKind::unlock_failed, session, "it is still locked: " + why));
        answer(session.unlock_token, effects, wire::error_broken,
               "It is still locked: " + why + ".");
        return;
    }
    const Gap gap{Gap::Kind::desktop, "not locked: " + why};
    const auto token = std::exchange(session.lock_token, 0);
    if (!ends_for(session, {gap}, now, effects)) {
        desktop_is_open(session, AuditKind::lock_failed, gap.text, now, effects);
        session.gaps.push_back(gap);
    }
    if (token != 0)
        effects.push_back(ReplyDone{
            .token = token, .error = wire::error_broken, .text = "It is not locked: " + why + "."});
}

void Machine::Data::desktop_due(Tracked& session, const Now& now, Effects& effects) {
    if (session.answer_by && *session.answer_by <= now.boot)
        desktop_failed(session, silence, now, effects);
}

} // namespace vigil::core
