// What is listed, and of whom.

#include "base/clock.hpp"
#include "base/log.hpp"
#include "daemon/bus/parse.hpp"
#include "daemon/shell/facts.hpp"

#include <algorithm>

namespace vigil::bus {

namespace {

void add_gap(wire::Session& session, const core::Gap& gap) {
    auto& list = core::makes_incomplete(gap) ? session.uncovered : session.runs_on;
    list.push_back(gap.text);
}

const char* state_text(core::State state) {
    switch (state) {
    case core::State::reserved:
        return "reserved";
    case core::State::active:
        return "active";
    case core::State::locked:
    case core::State::unlocking:
        return "locked";
    case core::State::ending:
        return "ending";
    }
    return "";
}

} // namespace

std::optional<uid_t> Api::owner_of_session(const std::string& text) const {
    const auto id = core::SessionId::from_text(text);
    const auto view = id ? shell_.machine().view(*id) : std::nullopt;
    if (!view)
        return std::nullopt;
    return view->record->facts.uid;
}

wire::Session Api::describe(const core::SessionView& view) const {
    const auto now = base::read_clocks();
    const auto& record = *view.record;
    wire::Session session;
    session.id = record.id.text();
    session.user = record.facts.user;
    session.uid = record.facts.uid;
    session.service = record.facts.service;
    session.terminals = shell_.terminals_of(view);
    session.remote_host = record.remote_host;
    session.logind_session = record.logind_session;
    session.leader_pid = static_cast<std::uint32_t>(record.leader.pid);
    session.since = wire_time(record.since_wall);
    if (!view.terminals.empty() || core::is_graphical(record)) {
        const auto idle = now.boot - shell_.last_input(view);
        session.idle_seconds = static_cast<std::uint64_t>(
            std::max<std::int64_t>(0, std::chrono::floor<Seconds>(idle).count()));
    }
    session.state = state_text(record.state);
    session.unlocking = record.state == core::State::unlocking;
    if (session.state == "locked") {
        session.locked_since = wire_time(record.locked_since_wall);
        session.locked_by = core::lock_text(record);
    }
    if (record.locked_since_wall != WallTime{}) {
        session.last_lock_at = wire_time(record.locked_since_wall);
        session.last_lock_by = core::lock_text(record);
    }
    if (record.unlocked_wall != WallTime{}) {
        session.last_unlock_at = wire_time(record.unlocked_wall);
        session.last_unlock_by = core::unlock_text(record);
    }
    if (view.is_desktop)
        session.desktop = record.desktop_locked ? "locked" : "unlocked";
    if (record.login)
        session.login = record.login->text();
    session.run_as = record.run_as;
    session.rule = view.decision->rule;
    session.idle_lock = wire_limit(view.decision->idle_lock);
    session.idle_terminate = wire_limit(view.decision->idle_terminate);
    session.max_duration = wire_limit(view.decision->max_duration);
    session.next_action = view.next_action;
    if (!view.next_action.empty())
        session.next_at = wire_time(shell::wall_time_of(view.next_at, now));
    for (const auto& gap : view.gaps)
        add_gap(session, gap);
    return session;
}

Result<> Api::list(const Call& call) {
    std::vector<wire::Session> sessions;
    for (const auto& view : shell_.machine().list())
        if (!call.shown || view.record->facts.uid == *call.shown)
            sessions.push_back(describe(view));
    reply(call, [&](auto& sink) { return wire::append(sink, sessions); });
    return {};
}

Result<> Api::show(const Call& call) {
    const auto id = read_session(call);
    if (!id)
        return std::unexpected{id.error()};
    const auto view = shell_.machine().view(*id);
    if (!view)
        return fail(wire::code_not_found, "There is no session " + id->text() + ".");
    auto now = *view;
    if (now.record->state == core::State::locked) {
        std::erase_if(now.gaps, core::is_looked_for);
        std::ranges::move(shell_.look_for_gaps(*id, shell::shown_age),
                          std::back_inserter(now.gaps));
    }
    const auto session = describe(now);
    reply(call, [&](auto& sink) { return wire::append(sink, session); });
    return {};
}

} // namespace vigil::bus
