#include "policy/index.hpp"

#include <bit>
#include <cstring>

namespace vigil::policy {

namespace {

void put(RuleSet& set, std::uint32_t rule) noexcept {
    set[rule / 64] |= std::uint64_t{1} << (rule % 64);
}

void keep(RuleSet& set, const RuleSet& other) noexcept {
    for (std::size_t i = 0; i < set.size(); ++i)
        set[i] &= other[i];
}

void drop(RuleSet& set, const RuleSet& other) noexcept {
    for (std::size_t i = 0; i < set.size(); ++i)
        set[i] &= ~other[i];
}

Address masked(Address address, unsigned prefix) noexcept {
    const unsigned whole = prefix / 8;
    if (whole < address.size()) {
        address[whole] &= static_cast<std::uint8_t>(0xff00U >> (prefix % 8));
        std::memset(address.data() + whole + 1, 0, address.size() - whole - 1);
    }
    return address;
}

} // namespace

void Postings::add(std::uint32_t rule, std::size_t words) {
    if (many_.empty() && few_.size() < words) {
        few_.push_back(rule);
        return;
    }
    if (many_.empty()) {
        many_.resize(words);
        for (const std::uint32_t known : few_)
            put(many_, known);
        few_ = {};
    }
    put(many_, rule);
}

void Postings::unite_into(RuleSet& set) const noexcept {
    for (const std::uint32_t rule : few_)
        put(set, rule);
    for (std::size_t i = 0; i < many_.size(); ++i)
        set[i] |= many_[i];
}

std::size_t
RuleIndex::NetworkHash::operator()(const std::pair<unsigned, Address>& network) const noexcept {
    std::array<std::uint64_t, 2> halves{};
    std::memcpy(halves.data(), network.second.data(), network.second.size());
    constexpr std::uint64_t factor = 0x9e3779b97f4a7c15; // Fibonacci hashing
    std::uint64_t hash = (halves[0] ^ network.first) * factor;
    hash = (std::rotl(hash, 29) ^ halves[1]) * factor;
    return hash ^ hash >> 32;
}

RuleIndex::RuleIndex(const std::vector<SessionRule>& rules)
    : words_{(rules.size() + 63) / 64}, all_(words_), local_(words_), unknown_(words_),
      any_class_(words_), any_time_(words_) {
    for (Names* names : {&users_, &groups_, &services_})
        names->open.resize(words_);
    for (Networks* networks : {&from_, &not_from_})
        networks->open.resize(words_);
    for (RuleSet& set : has_)
        set.resize(words_);
    SpanNumbers known;
    for (std::uint32_t i = 0; i < rules.size(); ++i)
        add(i, rules[i], known);
}

void RuleIndex::add(std::uint32_t number, const SessionRule& rule, SpanNumbers& known) {
    const Match& match = rule.match;
    put(all_, number);
    add_names(number, match.users, users_);
    add_names(number, match.groups, groups_);
    add_names(number, match.services, services_);
    add_networks(number, match.from, from_);
    add_networks(number, match.not_from, not_from_);
    for (const bool unknown : {false, true}) {
        Facts facts;
        facts.remote_unknown = unknown;
        if (from_holds(match, facts, leaning(rule)) && not_from_holds(match, facts, leaning(rule)))
            put(unknown ? unknown_ : local_, number);
    }
    if (match.classes.empty())
        put(any_class_, number);
    for (const SessionClass session_class : match.classes)
        by_class_[static_cast<std::size_t>(session_class)].add(number, words_);
    add_windows(number, match.when, known);

    const std::array<bool, setting_count> has{
        rule.access.has_value(),          rule.message.has_value(),
        rule.idle_warn.has_value(),       rule.idle_lock.has_value(),
        rule.idle_terminate.has_value(),  rule.activity.has_value(),
        rule.max_duration.has_value(),    rule.warn_before_end.has_value(),
        rule.max_sessions.has_value(),    rule.unlock.has_value(),
        rule.incomplete_lock.has_value(), rule.lock_on_sleep.has_value(),
        rule.login_factors.has_value(),   rule.remember_source.has_value()};
    for (std::size_t i = 0; i < has.size(); ++i) {
        if (has[i])
            put(has_[i], number);
    }
}

void RuleIndex::add_names(std::uint32_t number, const std::vector<std::string>& list,
                          Names& names) const {
    if (list.empty())
        put(names.open, number);
    for (const std::string& name : list)
        names.by_name[name].add(number, words_);
}

void RuleIndex::add_networks(std::uint32_t number, const std::vector<Network>& list,
                             Networks& networks) const {
    if (list.empty())
        put(networks.open, number);
    for (const Network& network : list) {
        if (network.local)
            continue; // local_ has it
        networks.prefixes[network.prefix] = true;
        networks.by_network[{network.prefix, masked(network.address, network.prefix)}].add(number,
                                                                                           words_);
    }
}

void RuleIndex::add_windows(std::uint32_t number, const std::vector<Window>& list,
                            SpanNumbers& known) {
    if (list.empty())
        put(any_time_, number);
    const auto add_span = [&](unsigned day, unsigned from, unsigned to) {
        const auto next = static_cast<std::uint32_t>(by_span_.size());
        const auto [span, is_new] = known.emplace(std::array{day, from, to}, next);
        if (is_new) {
            by_span_.emplace_back();
            spans_[day].push_back({.from = static_cast<std::uint16_t>(from),
                                   .to = static_cast<std::uint16_t>(to),
                                   .postings = next});
        }
        by_span_[span->second].add(number, words_);
    };
    for (const Window& window : list) {
        const bool overnight = window.to_minute <= window.from_minute;
        for (unsigned day = 0; day < 7; ++day) {
            if (!window.days[day])
                continue;
            add_span(day, window.from_minute, overnight ? 1440 : window.to_minute);
            if (overnight)
                add_span((day + 1) % 7, 0, window.to_minute);
        }
    }
}

RuleSet RuleIndex::inside(const Networks& networks, const Address& address) const {
    RuleSet set = empty();
    // An IPv4 address is in IPv4 networks alone, and those begin at 96.
    for (unsigned prefix = is_ipv4(address) ? 96 : 0; prefix <= 128; ++prefix) {
        if (!networks.prefixes[prefix])
            continue;
        const auto found = networks.by_network.find({prefix, masked(address, prefix)});
        if (found != networks.by_network.end())
            found->second.unite_into(set);
    }
    return set;
}

void RuleIndex::keep_from(const Facts& facts, RuleSet& set) const {
    if (!facts.remote)
        return keep(set, facts.remote_unknown ? unknown_ : local_);
    RuleSet from = inside(from_, *facts.remote);
    for (std::size_t i = 0; i < from.size(); ++i)
        from[i] |= from_.open[i];
    keep(set, from);
    drop(set, inside(not_from_, *facts.remote));
}

RuleSet RuleIndex::matching(const Facts& facts, const LocalTime& time) const {
    RuleSet set = all_;
    const auto keep_names = [&](const Names& names, const std::string* first, std::size_t count) {
        RuleSet named = names.open;
        for (std::size_t i = 0; i < count; ++i) {
            const auto found = names.by_name.find(first[i]);
            if (found != names.by_name.end())
                found->second.unite_into(named);
        }
        keep(set, named);
    };
    keep_names(users_, &facts.user, 1);
    keep_names(groups_, facts.groups.data(), facts.groups.size());
    keep_names(services_, &facts.service, 1);
    keep_from(facts, set);

    RuleSet of_class = any_class_;
    by_class_[static_cast<std::size_t>(facts.session_class)].unite_into(of_class);
    keep(set, of_class);

    RuleSet now = any_time_;
    for (const Span& span : spans_[time.weekday]) {
        if (time.minute >= span.from && time.minute < span.to)
            by_span_[span.postings].unite_into(now);
    }
    keep(set, now);
    return set;
}

std::optional<std::size_t> RuleIndex::first(const RuleSet& rules) noexcept {
    for (std::size_t i = 0; i < rules.size(); ++i) {
        if (rules[i] != 0)
            return i * 64 + static_cast<std::size_t>(std::countr_zero(rules[i]));
    }
    return std::nullopt;
}

std::optional<std::size_t> RuleIndex::first(const RuleSet& rules, Setting setting) const noexcept {
    const RuleSet& has = has_[static_cast<std::size_t>(setting)];
    for (std::size_t i = 0; i < rules.size(); ++i) {
        if ((rules[i] & has[i]) != 0)
            return i * 64 + static_cast<std::size_t>(std::countr_zero(rules[i] & has[i]));
    }
    return std::nullopt;
}

} // namespace vigil::policy
