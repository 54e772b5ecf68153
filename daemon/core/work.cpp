// Whether a session works, by the processor time and the bytes it has used between two readings;
// and which class it is of, where it has no terminal.

#include "daemon/core/moved.hpp"
#include "daemon/core/state.hpp"

#include <algorithm>

namespace vigil::core {

namespace {

bool is_known(const WorkDone& work, const policy::Activity& counts) {
    return (work.processor || !counts.processor) && ((work.bytes && work.moved) || !counts.bytes);
}

/// Less than before is another session's, or another connection: that is work.
template <typename Amount>
bool is_more(const Amount& before, const Amount& now, Amount idle) {
    return now < before || now - before > idle;
}

bool worked(const WorkReading& from, const WorkReading& to, const policy::Activity& counts) {
    const auto length = to.at - from.at;
    const auto seconds = static_cast<std::uint64_t>(std::chrono::ceil<Seconds>(length).count());
    const auto idle_bytes = seconds * idle_bytes_per_second;
    return (counts.processor &&
            is_more(*from.done.processor, *to.done.processor,
                    std::max(idle_processor_least, length / idle_processor_share))) ||
           (counts.bytes &&
            (is_more(*from.done.bytes, *to.done.bytes, std::max(idle_bytes_least, idle_bytes)) ||
             moved_between(*from.done.moved, *to.done.moved) >
                 std::max(idle_moved_least, idle_bytes)));
}

/// Whether any rule asks what runs in a session without a terminal.
bool classes_matter(const policy::Policy& policy) {
    return std::ranges::any_of(policy.sessions,
                               [](const auto& rule) { return !rule.match.classes.empty(); });
}

} // namespace

bool counts_work(const Tracked& session) noexcept {
    const auto& decision = session.decision;
    return after({}, decision.idle_terminate) &&
           (decision.activity.processor || decision.activity.bytes);
}

BootTime last_activity(const Tracked& session) noexcept {
    if (policy::has_no_terminal(session.record.facts.session_class))
        return session.last_work;
    BootTime last = session.last_input;
    // Whatever a desktop is used for is seen as output.
    if (session.decision.activity.output || is_desktop(session))
        last = std::max(last, session.last_output);
    return counts_work(session) ? std::max(last, session.last_work) : last;
}

Microseconds shortest_stretch(const Tracked& session) noexcept {
    return std::min<Microseconds>(work_window, session.decision.idle_terminate / 2) / 2;
}

/// Compares with the reading before. One that was taken when the terminal was last used takes its
/// place: what was done up to then belongs to that use.
void Machine::Data::note_work(Tracked& session, const ActivitySeen& seen, const Now& now) {
    if (!counts_work(session)) {
        session.work_base.reset();
        return;
    }
    const auto& counts = session.decision.activity;
    auto& base = session.work_base;
    const auto later = [&](const std::optional<WorkReading>& reading) {
        if (!reading || reading->at > now.boot || !is_known(reading->done, counts) ||
            (base && base->at >= reading->at))
            return;
        base = reading;
        session.work_was_idle = false;
    };
    later(seen.work_at_input);
    if (counts.output)
        later(seen.work_at_output);
    const WorkReading current{.at = now.boot, .done = seen.work};
    if (!is_known(current.done, counts)) {
        session.last_work = now.boot; // what cannot be read counts as work
        base.reset();
        return;
    }
    if (!base || !is_known(base->done, counts)) {
        base = current;
        session.work_was_idle = false;
        return;
    }
    if (current.at - base->at < shortest_stretch(session))
        return;
    session.work_was_idle = !worked(*base, current, counts);
    if (!session.work_was_idle)
        session.last_work = now.boot;
    base = current;
}

/// A terminal makes it interactive; without one it is what runs there.
void Machine::Data::note_class(Tracked& session, const ActivitySeen& seen, const Now& now,
                               Effects& effects) {
    auto& facts = session.record.facts;
    if (facts.session_class == policy::SessionClass::graphical)
        return;
    const auto seen_class = seen.terminals.empty()
                                ? seen.session_class
                                : std::optional{policy::SessionClass::interactive};
    if (is_due(session.class_look_at, now)) {
        session.class_look_at.reset();
        session.class_look_pause *= class_look_growth;
        if (seen.terminals.empty() && session.class_look_pause <= last_class_look)
            session.class_look_at = now.boot + session.class_look_pause;
    }
    if (!seen_class || *seen_class == facts.session_class)
        return;
    // Its clock goes on from the terminal's, or is the terminal's from here on.
    if (!policy::has_no_terminal(facts.session_class))
        session.last_work = std::max(session.last_work, session.last_input);
    else if (!policy::has_no_terminal(*seen_class))
        session.last_work = session.record.since;
    facts.session_class = *seen_class;
    session.decision = policy::decide_session(policy, facts, now);
    skip_past_warnings(session, now);
    effects.push_back(StoreSession{session.record});
}

void Machine::Data::await_class(Tracked& session, const Now& now) {
    session.class_look_at.reset();
    if (!policy::has_no_terminal(session.record.facts.session_class) || !classes_matter(policy))
        return;
    session.class_look_pause = first_class_look;
    session.class_look_at = now.boot + first_class_look;
}

} // namespace vigil::core
