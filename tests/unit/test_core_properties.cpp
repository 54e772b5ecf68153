// A long walk at random over events and times, beside a small model: what must hold after any of
// them, and after a kill -9 between any two effects.

#include "tests/unit/core_support.hpp"

#include <random>
#include <set>

using namespace vigil;
using namespace vigil::test;

namespace {

constexpr std::uint32_t users = 4;
constexpr std::uint32_t limit = 3;
constexpr Seconds idle_lock = 15min;
constexpr Seconds max_duration = 8h;
constexpr Seconds valid_for = 5min;

policy::Policy rules(policy::Mode mode) {
    auto policy = policy_of({.idle_warn = 1min,
                             .idle_lock = idle_lock,
                             .idle_terminate = 1h,
                             .max_duration = max_duration,
                             .warn_before_end = std::vector<Seconds>{15min, 5min, 1min},
                             .max_sessions = policy::MaxSessions{.per_user = limit}},
                            mode);
    policy.step_up.push_back(
        {.require = {{policy::Factor::totp}}, .valid_for = valid_for, .uses = 4});
    return policy;
}

/// What the world is like beside the machine.
struct Model {
    BootTime last_input{};
    bool terminal = true;
    bool lock_asked = false;
    bool unlock_asked = false;
    bool locked = false;
};

struct Proof {
    std::uint32_t session = 0;
    std::uint64_t terminal = 0;
    BootTime until{};
};

class Walk {
public:
    explicit Walk(std::uint32_t seed) : random_{seed}, host_{rules(policy::Mode::enforce)} {}

    void step() {
        now_ += Microseconds{pick(4) == 0 ? pick(600'000'000) : pick(2'000'000)};
        // The timer comes when it was asked for, or up to 10 ms later.
        while (host_.deadline() <= now_) {
            const auto late = std::max(host_.deadline(), ticked_) + Microseconds{pick(10'000)};
            now_ = std::max(now_, late);
            tick();
        }
        happen();
        check();
    }

private:
    std::mt19937 random_;
    Host host_;
    Microseconds now_{1s};
    Microseconds ticked_{0};
    std::uint32_t next_ = 1;
    std::map<std::uint32_t, Model> model_;
    std::map<SessionId, std::uint32_t> numbers_;
    std::vector<Proof> proofs_;

    std::uint32_t pick(std::uint32_t below) {
        return static_cast<std::uint32_t>(random_() % below);
    }
    bool chance(std::uint32_t one_in) { return pick(one_in) == 0; }
    BootTime boot() const { return at(now_).boot; }
    bool enforcing() const { return host_.machine.mode() == policy::Mode::enforce; }

    /// A session the machine knows, mostly; now and then one it doesn't.
    std::uint32_t some() {
        const auto all = host_.machine.list();
        if (all.empty() || chance(50))
            return pick(next_ + 1);
        return numbers_[all[pick(static_cast<std::uint32_t>(all.size()))].record->id];
    }
    policy::Facts person(std::uint32_t number) {
        return facts_of("user" + std::to_string(number % users), 1000 + number % users);
    }

    void tick() {
        ticked_ = now_;
        feed(TimePassed{});
        auto next = host_.machine.next_deadline();
        for (auto rest = ids().size() / most_due_at_once; rest > 0 && next && *next <= boot();
             --rest) {
            feed(TimePassed{});
            next = host_.machine.next_deadline();
        }
        ck_assert_msg(!next || *next > boot(), "it would spin");
        for (const auto& view : host_.machine.list()) {
            const auto& record = *view.record;
            const bool over = record.state != State::reserved && record.state != State::ending &&
                              record.since + max_duration <= boot();
            ck_assert_msg(!enforcing() || !over, "a session outlived its limit");
        }
    }

    void feed(const Event& event) {
        const auto before = ids();
        const bool asked_lock =
            std::holds_alternative<LockAsked>(event) || std::holds_alternative<SleepAsked>(event);
        const auto effects = host_.step(event, now_);
        look_at(effects, before, asked_lock);
        answer(effects);
    }

    std::set<SessionId> ids() const {
        std::set<SessionId> known;
        for (const auto& view : host_.machine.list())
            known.insert(view.record->id);
        return known;
    }

    static std::optional<SessionId> session_of(const Effect& effect) {
        return std::visit(
            [](const auto& what) -> std::optional<SessionId> {
                if constexpr (requires { what.record.state; })
                    return what.record.id;
                else if constexpr (requires { SessionId{what.session}; })
                    return what.session;
                else
                    return std::nullopt;
            },
            effect);
    }

    void look_at(const Effects& effects, const std::set<SessionId>& before, bool asked_lock) {
        for (const auto& effect : effects) {
            if (const auto id = session_of(effect))
                ck_assert_msg(before.contains(*id) || host_.machine.view(*id), "about nobody");
            if (const auto* say = std::get_if<Say>(&effect)) {
                ck_assert(enforcing());
                const auto state = host_.machine.view(say->session)->record->state;
                ck_assert_msg(say->last ? state == State::ending : state == State::active,
                              "words at a locked screen");
            }
            if (const auto* lock = std::get_if<Lock>(&effect))
                lock_seen(numbers_[lock->session], asked_lock);
        }
    }

    void lock_seen(std::uint32_t number, bool asked) {
        auto& session = model_[number];
        if (!session.locked && !asked) {
            ck_assert_msg(enforcing(), "observe touches nothing");
            ck_assert_msg(session.terminal, "without a terminal nobody is idle");
            ck_assert_msg(boot() - session.last_input >= idle_lock, "a lock came early");
        }
        session.locked = true;
        session.unlock_asked = false;
        std::erase_if(proofs_, [&](const auto& proof) { return proof.session == number; });
    }

    /// The shell: it answers, does not always succeed, and can be killed before any effect.
    void answer(const Effects& effects) {
        for (const auto& effect : effects) {
            if (const auto* read = std::get_if<ReadActivity>(&effect)) {
                const auto& session = model_[numbers_[read->session]];
                ActivitySeen seen{
                    .session = read->session, .before_lock = read->before_lock, .terminals = {}};
                if (session.terminal)
                    seen.terminals.emplace_back("/dev/pts/1");
                seen.last_input = seen.last_output = session.last_input;
                feed(seen);
            } else if (const auto* lock = std::get_if<Lock>(&effect)) {
                const bool none = !model_[numbers_[lock->session]].terminal && chance(2);
                feed(LockDone{.session = lock->session,
                              .held = !none && !chance(4),
                              .detail = "as it went",
                              .no_terminal = none});
            } else if (const auto* unlock = std::get_if<Unlock>(&effect)) {
                const bool thawed = !chance(4);
                const auto view = host_.machine.view(unlock->session);
                if (thawed && view && view->record->state == State::unlocking)
                    model_[numbers_[unlock->session]].locked = false;
                feed(UnlockDone{unlock->session, thawed, "as it went"});
            } else if (const auto* gone = std::get_if<CheckGone>(&effect)) {
                feed(ScopeSeen{gone->session, chance(2)});
            }
        }
    }

    void log_in() {
        const auto number = next_++;
        const auto who = person(number);
        numbers_[id_of(number)] = number;
        model_[number] = {.last_input = boot(), .terminal = !chance(5)};
        const auto open = static_cast<std::uint32_t>(
            std::ranges::count_if(host_.machine.list(), [&](const auto& view) {
                return view.record->facts.uid == who.uid && view.record->state != State::ending;
            }));
        const auto effects = host_.step(reserve(number, who), now_);
        const bool refused =
            find<ReplyReserve>(effects)->reply.verdict == wire::ReserveReply::Verdict::refused;
        ck_assert_msg(refused == (enforcing() && open >= limit), "the count is off");
        if (!refused && !chance(10))
            feed(confirm(number, who));
    }

    StepUpAsked command(std::uint32_t number, std::uint64_t terminal) {
        return {.subjects = {person(number)},
                .target = {.run_as = "root", .command = {}},
                .session = id_of(number),
                .terminal = terminal,
                .terminal_leader = {.pid = 500, .start_time = terminal},
                .person_has = {policy::Factor::totp}};
    }

    void step_up() {
        const auto number = some();
        const auto terminal = 1 + pick(2);
        host_.store_works = !chance(8);
        const auto effects = host_.step(command(number, terminal), now_);
        const auto verdict = find<ReplyAsk>(effects)->reply.verdict;
        const bool proved = std::ranges::any_of(proofs_, [&](const auto& proof) {
            return proof.session == number && proof.terminal == terminal && proof.until > boot();
        });
        if (enforcing() && verdict == wire::AskReply::Verdict::allowed)
            ck_assert_msg(proved, "a grant was good for something else");
        if (verdict != wire::AskReply::Verdict::prove)
            return;
        const auto proved_now = host_.step(ProofChecked{.request = command(number, terminal),
                                                        .fresh_id = id_of(1'000'000 + next_++),
                                                        .outcome = ProofChecked::Outcome::accepted,
                                                        .factor = "totp"},
                                           now_);
        if (find<ReplyProve>(proved_now)->reply.verdict == wire::ProveReply::Verdict::accepted)
            proofs_.push_back({number, terminal, boot() + valid_for});
    }

    void crash() {
        // An event of which only the first effects were done before the kill.
        const auto id = id_of(some());
        const Event event =
            chance(2) ? Event{LockAsked{1, id, "root"}} : Event{UnlockAsked{1, id, "totp", {}}};
        auto torn = host_.written.restart(host_.policy, at(now_));
        const auto effects = torn.step(event, at(now_));
        for (std::size_t i = 0; i < pick(static_cast<std::uint32_t>(effects.size()) + 1); ++i)
            host_.written.take(effects[i]);
        const auto stored = host_.written.sessions;
        const auto started = host_.restart(now_);
        for (const auto& [known, record] : stored) {
            auto& session = model_[numbers_[known]];
            const auto now_is = host_.machine.view(known)->record->state;
            ck_assert_msg(now_is == record.state, "a restart changed a session");
            const auto about = [&]<typename T>(const T*) {
                return std::ranges::any_of(started, [&](const auto& effect) {
                    const auto* wanted = std::get_if<T>(&effect);
                    return wanted && wanted->session == known;
                });
            };
            ck_assert(about(static_cast<const Watch*>(nullptr)));
            ck_assert((record.state == State::locked) == about(static_cast<const Lock*>(nullptr)));
            ck_assert((record.state == State::unlocking) ==
                      about(static_cast<const Unlock*>(nullptr)));
            session.locked = record.state == State::locked || record.state == State::unlocking;
            session.unlock_asked |= record.state == State::unlocking;
            if (session.locked)
                std::erase_if(proofs_,
                              [&](auto& proof) { return proof.session == numbers_[known]; });
        }
        answer(started);
        if (host_.deadline() <= now_) // an end goes on at once
            tick();
    }

    void happen() {
        switch (pick(23)) {
        case 0:
        case 1:
            return log_in();
        case 2:
            return feed(LeaderGone{id_of(some())});
        case 3:
        case 4:
        case 5:
        case 6: // somebody types; nobody tells the machine
            if (auto& session = model_[some()]; !session.locked)
                session.last_input = boot();
            return;
        case 7:
            return feed(LockAsked{1, id_of(some()), "root"});
        case 8:
        case 9: {
            const auto number = some();
            model_[number].unlock_asked = true;
            return feed(UnlockAsked{2, id_of(number), "totp", {}});
        }
        case 10:
            return feed(TerminateAsked{3, id_of(some()), "root", "maintenance"});
        case 11:
        case 12:
            return step_up();
        case 13:
            return crash();
        case 14:
            return chance(20) ? change_policy() : feed(UnlockRefused{4, id_of(some())});
        case 15:
            return chance(10) ? change_factors() : feed(ReleaseAsked{5, process_of(some())});
        case 16:
            return feed(chance(2) ? Event{TerminalOpened{id_of(some())}}
                                  : Event{TerminalClosed{id_of(some())}});
        case 17:
            return feed(chance(2) ? Event{LockedTerminalUsed{id_of(some())}}
                                  : Event{WarnedTerminalUsed{id_of(some()), boot()}});
        case 19:
            return feed(ClientGone{id_of(some())});
        case 18:
            return feed(WatchFailed{id_of(some())});
        case 20:
            return feed(ScreenAsked{id_of(some()), pick(3)});
        case 21:
            return feed(ScreenSeen{id_of(some()), pick(3)});
        case 22:
            return feed(SleepAsked{6});
        }
    }

    void change_policy() {
        // Sessions that observe let live too long are ended with the next tick.
        feed(PolicyChanged{rules(chance(3) ? policy::Mode::observe : policy::Mode::enforce)});
        proofs_.clear();
        if (host_.deadline() <= now_)
            tick();
    }

    void change_factors() {
        const auto uid = 1000 + pick(users);
        host_.step(FactorsChanged{uid}, now_);
        std::erase_if(proofs_, [&](const auto& p) { return 1000 + p.session % users == uid; });
    }

    void check() {
        const auto all = host_.machine.list();
        ck_assert_uint_eq(host_.written.sessions.size(), all.size());
        for (const auto& view : all) {
            const auto& record = *view.record;
            // What has to survive is written down.
            ck_assert(host_.written.sessions.at(record.id) == record);
            auto& session = model_[numbers_[record.id]];
            if (session.locked && !session.unlock_asked)
                ck_assert_msg(record.state == State::locked || record.state == State::ending ||
                                  !session.terminal,
                              "a lock was lost");
            if (record.state == State::active)
                ck_assert_msg(!session.locked, "active without a thaw");
        }
        ck_assert_uint_eq(host_.machine.grant_count(), host_.written.grants.size());
        ck_assert_uint_le(host_.machine.grant_count(), all.size() * max_grants_per_session);
        for (const auto& [id, grant] : host_.written.grants)
            ck_assert(host_.machine.view(grant.session)->record->state == State::active);
    }
};

START_TEST(what_must_hold_holds_after_any_event_and_crash) {
    Walk walk{static_cast<std::uint32_t>(_i)};
    for (int step = 0; step < 8'000; ++step)
        walk.step();
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("core: properties",
                            {{what_must_hold_holds_after_any_event_and_crash, 1, 6}},
                            {.seconds = 30});
}
