#include "policy/match.hpp"

#include <algorithm>

namespace vigil::policy {

namespace {

constexpr Address mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};

bool starts_mapped(const std::array<std::uint8_t, 16>& bytes) noexcept {
    return std::equal(mapped_prefix.begin(), mapped_prefix.begin() + 12, bytes.begin());
}

bool is_everything(const Network& network) noexcept {
    return !network.local && network.prefix == (is_ipv4(network) ? 96U : 0U);
}

/// `in_doubt`: whether a host of unknown address counts as inside a network that is not everything.
bool any_contains(const std::vector<Network>& networks, const Facts& facts,
                  bool in_doubt) noexcept {
    return std::ranges::any_of(networks, [&](const Network& network) {
        if (facts.remote)
            return contains(network, *facts.remote);
        if (!facts.remote_unknown)
            return network.local;
        return !network.local && (in_doubt || is_everything(network));
    });
}

bool has(const std::vector<std::string>& list, const std::string& name) noexcept {
    return std::ranges::find(list, name) != list.end();
}

} // namespace

Leaning leaning(const SessionRule& rule) noexcept {
    // One that allows and asks is not read: it could not lean both ways.
    if (rule.access)
        return *rule.access == Access::deny ? Leaning::strict : Leaning::lax;
    if (rule.login_factors)
        return rule.login_factors->empty() ? Leaning::lax : Leaning::strict;
    return Leaning::neutral;
}

Leaning leaning(const StepUpRule& rule) noexcept {
    return rule.require.empty() ? Leaning::lax : Leaning::strict;
}

LocalTime local_time(const Now& now) noexcept {
    const auto local = now.wall + now.utc_offset;
    const auto day = std::chrono::floor<std::chrono::days>(local);
    const auto minute = std::chrono::floor<std::chrono::minutes>(local - day).count();
    return {.weekday = std::chrono::weekday{day}.iso_encoding() - 1,
            .minute = static_cast<unsigned>(minute)};
}

bool is_ipv4(const Address& address) noexcept {
    return starts_mapped(address);
}

bool is_ipv4(const Network& network) noexcept {
    return network.prefix >= 96 && starts_mapped(network.address);
}

bool contains(const Network& network, const Address& address) noexcept {
    if (network.local || is_ipv4(network) != is_ipv4(address))
        return false;
    const unsigned whole = network.prefix / 8;
    if (!std::equal(address.begin(), address.begin() + whole, network.address.begin()))
        return false;
    const unsigned rest = network.prefix % 8;
    return rest == 0 || ((address[whole] ^ network.address[whole]) >> (8 - rest)) == 0;
}

bool contains(const Window& window, const LocalTime& time) noexcept {
    if (window.from_minute < window.to_minute)
        return window.days[time.weekday] && time.minute >= window.from_minute &&
               time.minute < window.to_minute;
    // Across midnight: the day named is the one it begins on.
    const unsigned yesterday = (time.weekday + 6) % 7;
    return (window.days[time.weekday] && time.minute >= window.from_minute) ||
           (window.days[yesterday] && time.minute < window.to_minute);
}

bool from_holds(const Match& match, const Facts& facts, Leaning leaning) noexcept {
    return match.from.empty() || any_contains(match.from, facts, leaning == Leaning::strict);
}

bool not_from_holds(const Match& match, const Facts& facts, Leaning leaning) noexcept {
    return !any_contains(match.not_from, facts, leaning == Leaning::lax);
}

bool is_approver(const Approvers& approvers, const Facts& facts) {
    return has(approvers.users, facts.user) ||
           std::ranges::any_of(facts.groups, [&](const std::string& group) {
               return has(approvers.groups, group);
           });
}

bool matches(const Match& match, const Facts& facts, const LocalTime& time,
             Leaning leaning) noexcept {
    if (!match.users.empty() && !has(match.users, facts.user))
        return false;
    if (!match.services.empty() && !has(match.services, facts.service))
        return false;
    if (!match.groups.empty() && std::ranges::none_of(facts.groups, [&](const std::string& group) {
            return has(match.groups, group);
        }))
        return false;
    if (!match.classes.empty() &&
        std::ranges::find(match.classes, facts.session_class) == match.classes.end())
        return false;
    if (!match.when.empty() && std::ranges::none_of(match.when, [&](const Window& window) {
            return contains(window, time);
        }))
        return false;
    return from_holds(match, facts, leaning) && not_from_holds(match, facts, leaning);
}

} // namespace vigil::policy
