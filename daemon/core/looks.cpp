// When it is looked what locks leave free, and what comes of it. A look takes as long as there are
// processes on the host, and hardly longer for many locks than for one.

#include "daemon/core/state.hpp"

#include <algorithm>
#include <utility>

namespace vigil::core {

/// Never by a look that came before the lock held.
void Machine::Data::want_look(Tracked& session, const Now& now, Effects& effects) {
    if (!session.look_at) {
        session.look_at = std::max(now.boot, next_look);
        session.looks_alone = false;
        looks_due.insert(session.record.id);
    }
    if (*session.look_at <= now.boot)
        look(session, now, effects);
}

/// For this lock, and for the others that wait for a look.
void Machine::Data::look(Tracked& session, const Now& now, Effects& effects) {
    LookForGaps looks{{session.record.id}};
    std::set<std::uint32_t> users{session.record.facts.uid};
    looks_due.erase(session.record.id);
    session.look_at.reset();
    looked_at = now.boot;
    next_look = now.boot + longest_look_rest;
    for (auto next = looks_due.begin(); next != looks_due.end() && !session.looks_alone &&
                                        looks.sessions.size() < most_looked_for;) {
        auto* const other = find(*next);
        if (!other || !other->look_at || other->record.state != State::locked) {
            next = looks_due.erase(next);
            continue;
        }
        const auto uid = other->record.facts.uid;
        if (other->looks_alone || (users.size() == most_users_looked_for && !users.contains(uid))) {
            ++next;
            continue;
        }
        users.insert(uid);
        looks.sessions.push_back(*next);
        other->look_at.reset();
        schedule(*other);
        next = looks_due.erase(next);
    }
    effects.push_back(std::move(looks));
}

void Machine::Data::look_ended(const Now& now) {
    next_look = std::min(next_look, now.boot + look_rest * (now.boot - looked_at));
}

/// One look a tick: what has no place in it waits for the next tick.
void Machine::Data::look_due(Tracked& session, const Now& now, Effects& effects) {
    if (!session.look_at || *session.look_at > now.boot)
        return;
    if (session.record.state != State::locked) {
        session.look_at.reset();
        answer_prompts(session, effects);
    } else if (looked_at < now.boot) {
        look(session, now, effects);
    }
}

Effects Machine::Data::on(const LookCutShort& cut, const Now& now) {
    look_ended(now);
    auto* session = find(cut.session);
    if (!session || session->record.state != State::locked)
        return {};
    session->look_at = now.boot;
    session->looks_alone = true;
    looks_due.insert(cut.session);
    schedule(*session);
    return {};
}

Effects Machine::Data::on(const PromptAsks& asks, const Now&) {
    auto* session = find(asks.session);
    if (!session || !session->look_at || session->record.state != State::locked)
        return {done(asks.token)};
    session->prompt_tokens.push_back(asks.token);
    return {};
}

Effects Machine::Data::on(const GapsSeen& seen, const Now& now) {
    look_ended(now);
    Effects effects;
    auto* session = find(seen.session);
    if (!session)
        return effects;
    // It may be on its way out by now, and says that.
    answer_prompts(*session, effects);
    if (session->record.state == State::locked)
        judge_gaps(*session, seen.gaps, now, effects);
    return effects;
}

void Machine::Data::judge_gaps(Tracked& session, const std::vector<Gap>& gaps, const Now& now,
                               Effects& effects) {
    std::erase_if(session.gaps, is_looked_for);
    session.gaps.insert(session.gaps.end(), gaps.begin(), gaps.end());
    if (session.gaps.size() > max_gaps)
        session.gaps.resize(max_gaps);
    if (ends_for(session, gaps, now, effects))
        return;
    // What runs beside the session comes and goes: it is told once, with the first look.
    std::vector<Gap> incomplete = session.gaps;
    std::erase_if(incomplete, [](const Gap& gap) { return !makes_incomplete(gap); });
    const auto telling = text_of(incomplete);
    const auto before = std::exchange(session.gaps_told, telling);
    if (before ? telling != *before && !telling.empty() : !session.gaps.empty())
        effects.push_back(
            audit(AuditKind::lock_gaps, session,
                  (telling.empty() ? "wholly locked; note: " : "not wholly locked: ") +
                      text_of(session.gaps)));
}

} // namespace vigil::core
