#include "daemon/core/machine.hpp"

#include "base/console.hpp"
#include "daemon/core/state.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace vigil::core {

Machine::Machine(policy::Policy policy, std::vector<SessionRecord> sessions,
                 std::vector<GrantRecord> grants, const Now& now)
    : data_{std::make_unique<Data>()} {
    data_->asleep = now.asleep;
    data_->set_policy(std::move(policy));
    // The audit has their beginnings.
    for (auto& record : sessions)
        data_->insert(std::move(record), now).opened_told = true;
    for (auto& grant : grants)
        data_->restore_grant(std::move(grant), now);
}

Machine::~Machine() = default;
Machine::Machine(Machine&&) noexcept = default;
Machine& Machine::operator=(Machine&&) noexcept = default;

Effects Machine::start(const Now& now) {
    Effects effects;
    for (const auto& id : std::exchange(data_->stale_grants, {}))
        effects.push_back(EraseGrant{id});
    for (const auto& id : std::exchange(data_->stale_remembered, {}))
        effects.push_back(EraseRemembered{id});
    // A crash can come before the mark was made, or before the proofs were taken back.
    std::vector<std::uint32_t> marked;
    for (const auto& [uid, block] : data_->blocks) {
        if (data_->enforcing()) {
            marked.push_back(uid);
            data_->end_proofs(uid, effects);
        }
    }
    data_->store_blocks(now, effects);
    effects.push_back(KeepMarks{std::move(marked)});
    for (auto& [id, session] : data_->sessions) {
        effects.push_back(Watch{id});
        switch (session.record.state) {
        case State::reserved:
            break;
        case State::ending:
            // How far it was is not known: the stages come again, each with its time.
            session.retry_at = now.boot;
            break;
        case State::active:
            session.asked_activity = now.boot;
            effects.push_back(ReadActivity{id});
            if (is_elevated(session.record))
                effects.push_back(CheckGone{id});
            break;
        case State::locked:
            // What a desktop did meanwhile it says itself, as soon as it is watched.
            if (!is_graphical(session.record))
                order_lock(session, effects);
            break;
        case State::unlocking:
            // A crash can come between a block and this, too.
            if (data_->keep_locked(session, now, effects))
                break;
            if (is_graphical(session.record))
                ask_desktop(session, now, effects);
            else
                effects.push_back(Unlock{id});
            break;
        }
        data_->schedule(session);
    }
    return effects;
}

Effects Machine::step(const Event& event, const Now& now) {
    auto effects = data_->wake(now);
    auto further = std::visit([&](const auto& what) { return data_->on(what, now); }, event);
    if (effects.empty())
        effects = std::move(further);
    else
        std::ranges::move(further, std::back_inserter(effects));
    data_->let_sleep(effects);
    return effects;
}

std::optional<BootTime> Machine::next_deadline() const {
    std::optional<BootTime> next;
    if (!data_->deadlines.empty())
        next = data_->deadlines.begin()->first;
    for (const auto& request : data_->requests)
        next = std::min(next.value_or(request.until), request.until);
    if (const auto end = data_->next_block_end)
        next = std::min(next.value_or(*end), *end);
    if (const auto& rehearsal = data_->rehearsal)
        next = std::min(next.value_or(rehearsal->until), rehearsal->until);
    return next;
}

namespace {

SessionView view_of(const Tracked& session) {
    SessionView view{.record = &session.record,
                     .decision = &session.decision,
                     .last_input = policy::has_no_terminal(session.record.facts.session_class)
                                       ? session.last_work
                                       : session.last_input,
                     .terminals = session.terminals,
                     .next_action = {},
                     .next_at = {},
                     .counts_work = counts_work(session),
                     .is_desktop = is_desktop(session),
                     .is_warned = session.warned_at.has_value(),
                     .gaps = session.gaps};
    if (const auto why = not_holdable(session.record);
        why && session.record.state != State::reserved)
        view.gaps.push_back(*why);
    const auto at = moments(session);
    const auto consider = [&](const std::optional<BootTime>& when, const char* action) {
        if (when && (view.next_action.empty() || *when < view.next_at)) {
            view.next_at = *when;
            view.next_action = action;
        }
    };
    consider(at.end, "terminate");
    consider(at.end_warning, "warn");
    const bool is_left = session.record.state == State::locked && !is_graphical(session.record);
    if (!session.terminals.empty() || is_left ||
        policy::has_no_terminal(session.record.facts.session_class))
        consider(at.idle_end, "terminate");
    // Without a terminal it is never locked, but for a desktop, which locks itself.
    if (!session.terminals.empty() || is_graphical(session.record)) {
        consider(at.lock, "lock");
        consider(at.idle_warning, "warn");
    }
    return view;
}

} // namespace

std::optional<SessionView> Machine::view(const SessionId& id) const {
    const auto* session = data_->find(id);
    if (!session)
        return std::nullopt;
    return view_of(*session);
}

std::vector<SessionView> Machine::list() const {
    std::vector<SessionView> views;
    views.reserve(data_->sessions.size());
    for (const auto& [id, session] : data_->sessions)
        views.push_back(view_of(session));
    std::sort(views.begin(), views.end(), [](const auto& a, const auto& b) {
        return std::tie(a.record->since, a.record->id) < std::tie(b.record->since, b.record->id);
    });
    return views;
}

std::vector<SessionId> Machine::warned() const {
    std::vector<SessionId> found;
    for (const auto& [id, session] : data_->sessions)
        if (session.warned_at)
            found.push_back(id);
    return found;
}

std::optional<SessionId> Machine::by_logind(const std::string& logind_session) const {
    const auto found = data_->by_logind.find(logind_session);
    if (found == data_->by_logind.end())
        return std::nullopt;
    return found->second;
}

namespace {

/// "tty2" or "/dev/tty2", but not "ttyS0"; and whatever a graphical session calls its own.
bool is_at_console(const Tracked& session) {
    const auto is_console = [](const std::string& name) {
        return base::virtual_console(name) != 0;
    };
    const auto& record = session.record;
    if (record.state == State::reserved)
        return false;
    // What the login said counts as well: after a restart the terminals are not known at once.
    return is_console(record.pam_terminal) || std::ranges::any_of(session.terminals, is_console) ||
           (is_graphical(record) && record.remote_host.empty());
}

} // namespace

bool Machine::is_alone_at_consoles(const SessionId& id) const {
    const auto* session = data_->find(id);
    return session && std::ranges::none_of(data_->sessions, [&](const auto& entry) {
               const auto& other = entry.second;
               return other.record.facts.uid != session->record.facts.uid && is_at_console(other);
           });
}

std::size_t Machine::grant_count() const noexcept {
    return data_->grants.size() + data_->remembered.size();
}

bool Machine::watches_elevated() const noexcept {
    return !data_->policy.elevated.empty();
}

policy::Mode Machine::mode() const noexcept {
    return data_->enforcing() ? policy::Mode::enforce : policy::Mode::observe;
}

std::optional<BootTime> Machine::rehearsed_until() const noexcept {
    return data_->rehearsal ? std::optional{data_->rehearsal->until} : std::nullopt;
}

} // namespace vigil::core
