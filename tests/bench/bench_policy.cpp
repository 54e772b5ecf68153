// A decision with 10,000 rules, in microseconds: by kind of condition, none matching and all
// matching.

#include "policy/decide.hpp"
#include "policy/parse.hpp"

#include <algorithm>
#include <cstdio>
#include <functional>

using namespace vigil;
using namespace vigil::policy;

namespace {

Policy rules(const std::function<void(SessionRule&, unsigned)>& fill) {
    Policy policy;
    for (unsigned i = 0; i < max_rules; ++i) {
        SessionRule rule;
        rule.name = "rule " + std::to_string(i);
        rule.idle_lock = Seconds{60 + i};
        fill(rule, i);
        policy.sessions.push_back(std::move(rule));
    }
    index_rules(policy);
    return policy;
}

void measure(const char* what, const Policy& policy, const Facts& facts) {
    constexpr int rounds = 20;
    constexpr int calls = 200;
    const Now now{.boot = {}, .wall = WallTime{std::chrono::days{20'000} + std::chrono::hours{12}}};
    double best = 1e9;
    std::size_t matched = 0;
    for (int round = 0; round < rounds; ++round) {
        const auto start = std::chrono::steady_clock::now();
        for (int i = 0; i < calls; ++i)
            matched += decide_session(policy, facts, now).rule.empty() ? 0 : 1;
        const std::chrono::duration<double, std::micro> took =
            std::chrono::steady_clock::now() - start;
        best = std::min(best, took.count() / calls);
    }
    std::printf("%-44s %7.2f us  %s\n", what, best,
                matched != 0 ? "a rule matched" : "none matched");
}

} // namespace

int main() {
    Facts facts{.user = "alice", .uid = 1000, .groups = {}, .service = "sshd"};
    facts.remote = parse_remote_host("203.0.113.9").address;
    for (int i = 0; i < 32; ++i)
        facts.groups.push_back("group" + std::to_string(i));

    measure("each names another user", rules([](SessionRule& rule, unsigned i) {
                rule.match.users = {"user" + std::to_string(i)};
            }),
            facts);
    measure("this user, each another service", rules([](SessionRule& rule, unsigned i) {
                rule.match.users = {"alice"};
                rule.match.services = {"service" + std::to_string(i)};
            }),
            facts);
    measure("my 32 groups, each another network", rules([](SessionRule& rule, unsigned i) {
                rule.match.groups = {"group" + std::to_string(i % 32)};
                Network network{.address = *parse_remote_host("10.0.0.0").address, .prefix = 120};
                network.address[13] = static_cast<std::uint8_t>(i >> 8);
                network.address[14] = static_cast<std::uint8_t>(i);
                rule.match.from = {network};
            }),
            facts);
    measure("another user, each another window of now", rules([](SessionRule& rule, unsigned i) {
                Window window{
                    .days = {}, .from_minute = 1 + i % 1300, .to_minute = 1401 + i / 1300};
                window.days[4] = true; // day 20,000 is a Friday, and it is noon: half of them hold
                rule.match.when = {window};
                rule.match.users = {"bob"};
            }),
            facts);
    measure("every rule matches, one setting", rules([](SessionRule&, unsigned) {}), facts);
}
