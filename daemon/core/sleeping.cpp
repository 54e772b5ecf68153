// Before the machine sleeps: what is locked for it, and when it may.

#include "daemon/core/state.hpp"

#include <algorithm>
#include <utility>

namespace vigil::core {

namespace {

/// What idleness would lock one day: while the machine sleeps nobody is there either.
bool locks_for_sleep(const Tracked& session) {
    return session.record.state == State::active && session.decision.lock_on_sleep &&
           session.decision.idle_lock != never &&
           (is_graphical(session.record) || !session.terminals.empty());
}

/// A lock that could not be held is tried again; that is not waited for.
bool is_being_locked(const Tracked& session) {
    return session.record.state == State::locked &&
           (session.lock_ordered || session.answer_by || session.settles_at);
}

} // namespace

/// Not after the sleep: what the kernel and sshd hand to a session then comes before vigild's turn.
Effects Machine::Data::on(const SleepAsked& asked, const Now& now) {
    Effects effects;
    sleep_tokens.push_back(asked.token);
    for (auto& [id, session] : sessions)
        if (locks_for_sleep(session))
            lock_unseen(session, {"the machine was put to sleep"}, now, effects);
    return effects;
}

void Machine::Data::let_sleep(Effects& effects) {
    if (sleep_tokens.empty() || std::ranges::any_of(sessions, [](const auto& entry) {
            return is_being_locked(entry.second);
        }))
        return;
    answer(sleep_tokens, effects);
}

} // namespace vigil::core
