// Random rules: what is decided is what comes of reading them one by one.

#include "policy/decide.hpp"
#include "policy_help.hpp"

#include <random>

using namespace vigil;
using namespace vigil::policy;
using namespace vigil::test;

namespace {

/// Random rules over few enough names that they meet, and the answer worked out the long way.
class Random {
public:
    explicit Random(unsigned seed) : engine_{seed} {}

    unsigned below(unsigned n) { return static_cast<unsigned>(engine_() % n); }
    bool chance(unsigned percent) { return below(100) < percent; }
    std::string name() { return {static_cast<char>('a' + below(5))}; }
    Address address() {
        Address address = *parse_remote_host(chance(50) ? "10.0.0.0" : "2001:db8::").address;
        for (std::size_t i : {5U, 12U, 13U, 15U}) {
            if (address[0] != 0 || i >= 12)
                address[i] = static_cast<std::uint8_t>(below(3) * 64 + below(2));
        }
        return address;
    }
    Network network() {
        if (chance(15))
            return {.address = {}, .prefix = 128, .local = true};
        Network network{.address = address()};
        const bool ipv4 = network.address[0] == 0;
        network.prefix = ipv4 ? 96 + below(33) : below(129);
        for (unsigned bit = network.prefix; bit < 128; ++bit)
            network.address[bit / 8] &= static_cast<std::uint8_t>(~(0x80U >> bit % 8));
        return network;
    }
    SessionRule rule(unsigned number) {
        SessionRule rule{.name = std::to_string(number)};
        const auto some = [&](auto& list, auto make) {
            if (chance(25)) {
                for (unsigned i = 0; i <= below(3); ++i)
                    list.push_back(make());
            }
        };
        some(rule.match.users, [&] { return name(); });
        some(rule.match.groups, [&] { return name(); });
        some(rule.match.services, [&] { return name(); });
        some(rule.match.from, [&] { return network(); });
        some(rule.match.not_from, [&] { return network(); });
        some(rule.match.classes, [&] { return static_cast<SessionClass>(below(5)); });
        some(rule.match.when, [&] {
            Window window{.days = {}, .from_minute = below(1440), .to_minute = 1 + below(1440)};
            for (bool& day : window.days)
                day = chance(50);
            return window;
        });
        if (chance(30))
            rule.access = chance(50) ? Access::deny : Access::allow;
        if (chance(50))
            rule.idle_lock = Seconds{number + 1};
        if (chance(50))
            rule.max_duration = Seconds{number + 1};
        return rule;
    }
    Facts facts() {
        Facts facts{.user = name(), .uid = 1, .groups = {name(), name()}, .service = name()};
        if (chance(60))
            facts.remote = address();
        else
            facts.remote_unknown = chance(50);
        facts.session_class = static_cast<SessionClass>(below(5));
        return facts;
    }

private:
    std::mt19937 engine_;
};

bool bit_of(const Address& address, unsigned bit) {
    return (address[bit / 8] >> (7 - bit % 8) & 1) != 0;
}

bool plainly_inside(const Network& network, const Facts& facts, bool in_doubt) {
    const Address mapped = *parse_remote_host("0.0.0.0").address;
    const auto is_v4 = [&](const Address& address) {
        return std::equal(mapped.begin(), mapped.begin() + 12, address.begin());
    };
    const bool v4 = network.prefix >= 96 && is_v4(network.address);
    if (!facts.remote && !facts.remote_unknown)
        return network.local;
    if (network.local)
        return false;
    if (facts.remote_unknown)
        return in_doubt || network.prefix == (v4 ? 96U : 0U);
    bool inside = v4 == is_v4(*facts.remote);
    for (unsigned bit = 0; bit < network.prefix; ++bit)
        inside = inside && bit_of(network.address, bit) == bit_of(*facts.remote, bit);
    return inside;
}

bool plainly_matches(const SessionRule& rule, const Facts& facts, unsigned weekday,
                     unsigned minute) {
    const Match& match = rule.match;
    const auto any = [](const auto& list, auto holds) {
        return list.empty() || std::ranges::any_of(list, holds);
    };
    const bool deny = rule.access == Access::deny;
    const bool allow = rule.access == Access::allow;
    return any(match.users, [&](const auto& user) { return user == facts.user; }) &&
           any(match.services, [&](const auto& service) { return service == facts.service; }) &&
           any(match.groups,
               [&](const auto& group) {
                   return group == facts.groups[0] || group == facts.groups[1];
               }) &&
           any(match.classes, [&](auto one) { return one == facts.session_class; }) &&
           any(match.when,
               [&](const Window& window) {
                   // Count forward from each day's beginning of the window.
                   const unsigned length =
                       (window.to_minute + 1440 - window.from_minute - 1) % 1440 + 1;
                   for (unsigned day = 0; day < 7; ++day) {
                       const unsigned since =
                           (weekday * 1440 + minute + 10080 - day * 1440 - window.from_minute) %
                           10080;
                       if (window.days[day] && since < length)
                           return true;
                   }
                   return false;
               }) &&
           any(match.from,
               [&](const Network& network) { return plainly_inside(network, facts, deny); }) &&
           std::ranges::none_of(match.not_from, [&](const Network& network) {
               return plainly_inside(network, facts, allow);
           });
}

} // namespace

START_TEST(random_rules_are_decided_as_reading_them_one_by_one_does) {
    std::size_t matched = 0;
    for (unsigned seed = 0; seed < 300; ++seed) {
        Random random{seed};
        Policy policy;
        for (unsigned i = 0; i < 1 + seed; ++i)
            policy.sessions.push_back(random.rule(i));
        if (seed % 2 == 0)
            index_rules(policy);
        for (unsigned round = 0; round < 20; ++round) {
            const Facts facts = random.facts();
            const unsigned weekday = random.below(7);
            const unsigned minute = random.below(1440);
            SessionDecision expected;
            bool has_access = false;
            for (const SessionRule& rule : policy.sessions) {
                if (!plainly_matches(rule, facts, weekday, minute))
                    continue;
                if (expected.rule.empty())
                    expected.rule = rule.name;
                if (!has_access && rule.access)
                    expected.access = *rule.access;
                has_access = has_access || rule.access;
                if (expected.idle_lock == never && rule.idle_lock)
                    expected.idle_lock = *rule.idle_lock;
                if (expected.max_duration == never && rule.max_duration)
                    expected.max_duration = *rule.max_duration;
                ++matched;
            }
            const auto decision = decide_session(
                policy, facts, at(static_cast<int>(weekday), 0, static_cast<int>(minute)));
            ck_assert_msg(decision == expected, "seed %u: rule %s, expected %s", seed,
                          decision.rule.c_str(), expected.rule.c_str());
        }
    }
    ck_assert_uint_gt(matched, 10'000);
}
END_TEST

int main() {
    return vigil::test::run("policy/properties",
                            {random_rules_are_decided_as_reading_them_one_by_one_does});
}
