#pragma once
// What the core's tests share: times, events with everything filled in, and how to look at effects.

#include "daemon/core/machine.hpp"
#include "tests/unit/test.hpp"
#include "wire/names.hpp"

#include <algorithm>
#include <map>

namespace vigil::test {

using namespace vigil::core;
using namespace std::chrono_literals;

/// So long after the machine came up; the wall clock goes along.
inline Now at(Microseconds since_start) {
    constexpr auto start = 1000h;
    return {.boot = BootTime{start + since_start},
            .wall = WallTime{std::chrono::days{20'000} + since_start}};
}

inline SessionId id_of(std::uint32_t number) {
    SessionId id;
    for (std::size_t i = 0; i < 4; ++i)
        id.bytes[i] = id.bytes[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
    return id;
}

inline base::Process process_of(std::uint32_t number) {
    return {.pid = static_cast<pid_t>(1000 + number), .start_time = 77 + number};
}

inline policy::Facts facts_of(std::string user = "alice", std::uint32_t uid = 1000) {
    return {.user = std::move(user), .uid = uid, .groups = {"sudo"}, .service = "sshd"};
}

inline ReserveAsked reserve(std::uint32_t number, policy::Facts facts = facts_of(),
                            Token token = 1) {
    return {.token = token,
            .fresh_id = id_of(number),
            .facts = std::move(facts),
            .pam_terminal = "ssh",
            .remote_host = "192.0.2.7",
            .leader = process_of(number)};
}

inline ConfirmAsked confirm(std::uint32_t number, policy::Facts facts = facts_of(),
                            Token token = 2) {
    return {.token = token,
            .fresh_id = id_of(number),
            .facts = std::move(facts),
            .pam_terminal = "ssh",
            .remote_host = "192.0.2.7",
            .leader = process_of(number),
            .logind_session = "c" + std::to_string(number),
            .cgroup = "/user.slice/session-c" + std::to_string(number) + ".scope"};
}

inline SessionFound found(std::uint32_t number, Microseconds since) {
    const auto as = confirm(number);
    return {.fresh_id = as.fresh_id,
            .facts = as.facts,
            .pam_terminal = as.pam_terminal,
            .remote_host = as.remote_host,
            .leader = as.leader,
            .logind_session = as.logind_session,
            .cgroup = as.cgroup,
            .since = at(since).boot,
            .since_wall = at(since).wall};
}

inline ActivitySeen activity(std::uint32_t number, Microseconds input, Microseconds output) {
    return {.session = id_of(number),
            .terminals = {"/dev/pts/3"},
            .last_input = at(input).boot,
            .last_output = at(output).boot,
            .work = {.processor = 0us, .bytes = 0, .moved = std::vector<ProcessBytes>{}}};
}

inline ActivitySeen no_terminal(std::uint32_t number) {
    return {.session = id_of(number),
            .terminals = {},
            .work = {.processor = 0us, .bytes = 0, .moved = std::vector<ProcessBytes>{}},
            .session_class = policy::SessionClass::command};
}

/// As it is seen when a lock waits for it.
inline ActivitySeen before_lock(ActivitySeen seen) {
    seen.before_lock = true;
    seen.work = {};
    seen.session_class.reset();
    return seen;
}

/// One rule for everybody.
inline policy::Policy policy_of(policy::SessionRule rule,
                                policy::Mode mode = policy::Mode::enforce) {
    rule.name = "everyone";
    return {.mode = mode, .sessions = {std::move(rule)}, .step_up = {}};
}

template <typename T>
const T* find(const Effects& effects) {
    for (const auto& effect : effects)
        if (const auto* wanted = std::get_if<T>(&effect))
            return wanted;
    return nullptr;
}

template <typename T>
std::size_t count(const Effects& effects) {
    return static_cast<std::size_t>(std::ranges::count_if(
        effects, [](const auto& effect) { return std::holds_alternative<T>(effect); }));
}

/// "StoreSession Audit Lock": which effects, in their order.
inline std::string kinds(const Effects& effects) {
    static constexpr const char* names[] = {"StoreSession",    "EraseSession",
                                            "StoreGrant",      "EraseGrant",
                                            "StoreRemembered", "EraseRemembered",
                                            "StoreBlock",      "EraseBlock",
                                            "KeepMarks",       "Watch",
                                            "HoldElevated",    "Forget",
                                            "ReadActivity",    "Say",
                                            "WipeLine",        "Lock",
                                            "LockDesktop",     "UnlockDesktop",
                                            "ForgetHint",      "LookForGaps",
                                            "RenewPrompts",    "Unlock",
                                            "KillFrozen",      "Terminate",
                                            "KillScope",       "CheckGone",
                                            "WatchAsker",      "ForgetAsker",
                                            "Audit",           "ReplyReserve",
                                            "ReplyLimit",      "ReplyAsk",
                                            "ReplyProve",      "ReplyRequested",
                                            "ReplyWait",       "ReplyId",
                                            "ReplyDone"};
    static_assert(std::size(names) == std::variant_size_v<Effect>);
    std::string text;
    for (const auto& effect : effects)
        text += (text.empty() ? "" : " ") + std::string{names[effect.index()]};
    return text;
}

/// The words of every Audit and Say, for a look at what is told.
inline std::string told(const Effects& effects) {
    std::string text;
    for (const auto& effect : effects) {
        if (const auto* line = std::get_if<Audit>(&effect))
            text += "[" + line->text + "]";
        if (const auto* line = std::get_if<Say>(&effect))
            text += "<" + line->line + ">";
    }
    return text;
}

/// What the asker hears: "" is yes.
inline std::string answer(const Effects& effects) {
    const auto* reply = find<ReplyDone>(effects);
    ck_assert_ptr_nonnull(reply);
    return reply->error ? reply->error : "";
}

/// What the shell finds of a session whose terminals are all closed.
inline LockDone none_left(std::uint32_t number) {
    return {.session = id_of(number), .detail = "its last terminal is closed", .no_terminal = true};
}

inline bool touches(const Effect& effect) {
    return std::holds_alternative<Lock>(effect) || std::holds_alternative<Terminate>(effect) ||
           std::holds_alternative<KillFrozen>(effect) ||
           std::holds_alternative<KillScope>(effect) || std::holds_alternative<Say>(effect);
}

/// What the store would have, had it done what the effects say.
struct Written {
    std::map<SessionId, SessionRecord> sessions;
    std::map<SessionId, GrantRecord> grants;
    std::map<SessionId, RememberedLogin> remembered;
    std::map<std::uint32_t, BlockRecord> blocks;

    void take(const Effect& effect) {
        if (const auto* store = std::get_if<StoreSession>(&effect))
            sessions[store->record.id] = store->record;
        if (const auto* erase = std::get_if<EraseSession>(&effect))
            sessions.erase(erase->id);
        if (const auto* store = std::get_if<StoreGrant>(&effect))
            grants[store->record.id] = store->record;
        if (const auto* erase = std::get_if<EraseGrant>(&effect))
            grants.erase(erase->id);
        if (const auto* store = std::get_if<StoreRemembered>(&effect))
            remembered[store->record.id] = store->record;
        if (const auto* erase = std::get_if<EraseRemembered>(&effect))
            remembered.erase(erase->id);
        if (const auto* store = std::get_if<StoreBlock>(&effect))
            blocks[store->record.uid] = store->record;
        if (const auto* erase = std::get_if<EraseBlock>(&effect))
            blocks.erase(erase->uid);
    }
    Machine restart(const policy::Policy& policy, const Now& now) const {
        std::vector<SessionRecord> all_sessions;
        for (const auto& [id, record] : sessions)
            all_sessions.push_back(record);
        std::vector<GrantRecord> all_grants;
        for (const auto& [id, record] : grants)
            all_grants.push_back(record);
        std::vector<RememberedLogin> logins;
        for (const auto& [id, record] : remembered)
            logins.push_back(record);
        Machine machine{policy, std::move(all_sessions), std::move(all_grants), now};
        machine.restore(std::move(logins), now);
        std::vector<BlockRecord> all_blocks;
        for (const auto& [uid, block] : blocks)
            all_blocks.push_back(block);
        machine.restore(std::move(all_blocks));
        return machine;
    }
};

/// A machine and the store beside it.
struct Host {
    policy::Policy policy;
    Machine machine;
    Written written;
    bool store_works = true;

    explicit Host(policy::Policy rules, Microseconds now = 0s)
        : policy{std::move(rules)}, machine{policy, {}, {}, at(now)} {}

    Effects step(const Event& event, Microseconds now) {
        if (const auto* change = std::get_if<PolicyChanged>(&event))
            policy = change->policy;
        auto effects = kept(machine.step(event, at(now)));
        // What the shell answers to those that are to be written down.
        for (std::size_t i = 0; i < effects.size(); ++i)
            if (const auto outcome = outcome_of(effects[i]))
                std::ranges::copy(kept(machine.step(*outcome, at(now))),
                                  std::back_inserter(effects));
        return effects;
    }
    /// kill -9, and up again.
    Effects restart(Microseconds now) {
        machine = written.restart(policy, at(now));
        return kept(machine.start(at(now)));
    }
    Effects tick(Microseconds now) { return step(TimePassed{}, now); }
    /// A confirmed login at a terminal.
    void login(std::uint32_t number, Microseconds now, policy::Facts facts = facts_of()) {
        step(reserve(number, facts), now);
        step(confirm(number, std::move(facts)), now);
        step(activity(number, now, now), now);
    }
    /// Asked for by root, and it holds.
    void lock(std::uint32_t number, Microseconds now) {
        step(LockAsked{1, id_of(number), "root"}, now);
        step(LockDone{id_of(number), true, {}}, now);
    }
    State state(std::uint32_t number) const { return machine.view(id_of(number))->record->state; }
    bool knows(std::uint32_t number) const { return machine.view(id_of(number)).has_value(); }
    /// From the start; Microseconds::max() if there is none.
    Microseconds deadline() const {
        const auto next = machine.next_deadline();
        return next ? *next - at(0s).boot : Microseconds::max();
    }

private:
    std::optional<Event> outcome_of(const Effect& effect) const {
        const std::string failure = store_works ? "" : "No space left on device";
        if (const auto* store = std::get_if<StoreGrant>(&effect))
            return GrantStored{store->record.id, store_works};
        if (const auto* store = std::get_if<StoreBlock>(&effect))
            return BlockKept{store->token, failure};
        if (const auto* erase = std::get_if<EraseBlock>(&effect))
            return BlockKept{erase->token, failure};
        return std::nullopt;
    }
    Effects kept(Effects effects) {
        for (const auto& effect : effects)
            written.take(effect);
        return effects;
    }
};

} // namespace vigil::test
