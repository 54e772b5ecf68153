// When it is looked what locks leave free: soon after each of them, for many at once, and never so
// long that logins wait.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

/// More than these are not in one look, daemon/core/state.hpp.
constexpr std::size_t most_locks = 128;
constexpr std::size_t most_users = 16;
constexpr auto pause = 1s;

/// So many logins, each of the first, second, ... of so many users in turn.
Host logged_in(std::uint32_t sessions, std::uint32_t users) {
    Host host{policy_of({})};
    for (std::uint32_t number = 1; number <= sessions; ++number)
        host.login(number, 0s, facts_of("user", 1000 + number % users));
    return host;
}

/// That it holds, and what this leads to.
Effects holds(Host& host, std::uint32_t number, Microseconds now) {
    host.step(LockAsked{0, id_of(number), "root"}, now);
    return host.step(LockDone{id_of(number), true, {}, {"/dev/pts/3"}}, now);
}

std::vector<SessionId> looked_for(const Effects& effects) {
    const auto* looks = find<LookForGaps>(effects);
    return looks ? looks->sessions : std::vector<SessionId>{};
}

bool answers(const Effects& effects, Token token) {
    return std::ranges::any_of(effects, [&](const auto& effect) {
        const auto* reply = std::get_if<ReplyDone>(&effect);
        return reply && reply->token == token && !reply->error;
    });
}

START_TEST(a_lock_that_comes_alone_has_its_look_at_once) {
    auto host = logged_in(1, 1);
    ck_assert(looked_for(holds(host, 1, 1s)) == std::vector{id_of(1)});
    // Its prompt is told what was seen.
    ck_assert(answers(host.step(PromptAsks{7, id_of(1)}, 1s), 7));
}
END_TEST

START_TEST(locks_that_come_soon_after_one_another_share_the_next_look) {
    auto host = logged_in(4, 2);
    holds(host, 1, 1s);
    for (const std::uint32_t number : {2, 3, 4})
        ck_assert(looked_for(holds(host, number, 1s + number * 10ms)).empty());
    ck_assert(host.deadline() == 1s + pause);
    ck_assert_uint_eq(looked_for(host.tick(1s + pause)).size(), 3);
    ck_assert(looked_for(host.tick(1s + pause)).empty());
    ck_assert(host.deadline() == Microseconds::max());
    // Held once more, for a new terminal.
    host.step(LockDone{id_of(2), true, {}}, 1s + pause + 1ms);
    ck_assert(looked_for(host.tick(1s + 2 * pause)) == std::vector{id_of(2)});
}
END_TEST

START_TEST(the_next_look_is_the_sooner_the_less_time_one_takes) {
    auto host = logged_in(4, 1);
    holds(host, 1, 1s);
    host.step(GapsSeen{id_of(1), {}}, 1s + 5ms);
    holds(host, 2, 1s + 6ms);
    ck_assert(host.deadline() == 1s + 25ms);
    ck_assert(looked_for(host.tick(1s + 25ms)) == std::vector{id_of(2)});
    host.step(GapsSeen{id_of(2), {}}, 1s + 30ms);
    ck_assert(looked_for(holds(host, 3, 1s + 50ms)) == std::vector{id_of(3)});
}
END_TEST

START_TEST(a_prompt_waits_for_the_look_that_its_lock_waits_for) {
    auto host = logged_in(3, 1);
    for (const std::uint32_t number : {1, 2, 3})
        holds(host, number, 1s);
    ck_assert(host.step(PromptAsks{7, id_of(2)}, 1s).empty());
    ck_assert(host.step(PromptAsks{8, id_of(2)}, 1s).empty());
    ck_assert_uint_eq(looked_for(host.tick(1s + pause)).size(), 2);
    const auto effects = host.step(GapsSeen{id_of(2), {}}, 1s + pause);
    ck_assert(answers(effects, 7) && answers(effects, 8));
    ck_assert(!answers(host.step(GapsSeen{id_of(2), {}}, 1s + pause), 7));
}
END_TEST

START_TEST(a_prompt_does_not_wait_for_a_lock_that_is_over) {
    auto host = logged_in(4, 1);
    for (const std::uint32_t number : {1, 2, 3, 4})
        holds(host, number, 1s);
    for (const std::uint32_t number : {2, 3, 4})
        host.step(PromptAsks{number, id_of(number)}, 1s);
    ck_assert(answers(host.step(UnlockAsked{0, id_of(2), "root", {}}, 1s), 2));
    ck_assert(answers(host.step(TerminateAsked{0, id_of(3), "root", {}}, 1s), 3));
    ck_assert(answers(host.step(LeaderGone{id_of(4)}, 1s), 4));
    ck_assert(answers(host.step(PromptAsks{9, id_of(4)}, 1s), 9));
    // And nothing is looked for.
    ck_assert(looked_for(host.tick(1s + pause)).empty());
    host.step(UnlockDone{id_of(2), true, {}}, 1s + pause);
    ck_assert(looked_for(host.tick(3s)).empty());
}
END_TEST

START_TEST(a_lock_that_could_not_be_held_and_has_nothing_to_hold_keeps_no_prompt) {
    auto host = logged_in(2, 1);
    holds(host, 1, 1s);
    holds(host, 2, 1s);
    host.step(PromptAsks{7, id_of(2)}, 1s);
    host.step(ActivitySeen{.session = id_of(2), .terminals = {}}, 1s);
    host.step(LockAsked{8, id_of(2), "root"}, 1s);
    host.step(LockDone{id_of(2), false, "no terminal", {}}, 1s);
    ck_assert(answers(host.step(UnlockAsked{0, id_of(2), "root", {}}, 1s), 7));
}
END_TEST

START_TEST(one_look_is_for_so_many_locks_and_users_and_one_tick_for_one_look) {
    for (const auto& [sessions, users] : {std::pair{300U, 1U}, std::pair{60U, 60U}}) {
        auto host = logged_in(sessions, users);
        for (std::uint32_t number = 1; number <= sessions; ++number)
            holds(host, number, 1s);
        std::size_t seen = 1;
        auto now = 1s + Microseconds{pause};
        for (; host.deadline() <= now; now += 1ms) {
            const auto effects = host.tick(now);
            ck_assert_uint_le(count<LookForGaps>(effects), 1);
            const auto looks = looked_for(effects);
            ck_assert_uint_le(looks.size(), users == 1 ? most_locks : most_users);
            seen += looks.size();
        }
        ck_assert_uint_eq(seen, sessions);
        ck_assert(now < 1s + pause + 100ms);
    }
}
END_TEST

START_TEST(what_a_look_had_no_time_for_is_looked_for_alone_and_at_once) {
    auto host = logged_in(4, 1);
    for (const std::uint32_t number : {1, 2, 3, 4})
        holds(host, number, 1s);
    host.step(PromptAsks{7, id_of(2)}, 1s);
    auto now = 1s + Microseconds{pause};
    host.tick(now);
    for (const std::uint32_t number : {2, 3}) // a prompt waits on
        ck_assert(host.step(LookCutShort{id_of(number)}, now).empty());
    std::size_t alone = 0;
    for (; host.deadline() <= now + 1ms; now += 1ms) {
        const auto looks = looked_for(host.tick(now + 1ms));
        ck_assert_uint_le(looks.size(), 1);
        alone += looks.size();
    }
    ck_assert_uint_eq(alone, 2);
    ck_assert(answers(host.step(GapsSeen{id_of(2), {}}, now), 7));
    ck_assert(host.step(LookCutShort{id_of(9)}, now).empty());
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("core: looks",
                            {a_lock_that_comes_alone_has_its_look_at_once,
                             locks_that_come_soon_after_one_another_share_the_next_look,
                             the_next_look_is_the_sooner_the_less_time_one_takes,
                             a_prompt_waits_for_the_look_that_its_lock_waits_for,
                             a_prompt_does_not_wait_for_a_lock_that_is_over,
                             a_lock_that_could_not_be_held_and_has_nothing_to_hold_keeps_no_prompt,
                             one_look_is_for_so_many_locks_and_users_and_one_tick_for_one_look,
                             what_a_look_had_no_time_for_is_looked_for_alone_and_at_once});
}
