#pragma once
// All session rules at once, as sets of bits: for each condition the rules it holds for, united
// over what is true of the login, then cut with the next condition's. A decision costs a few passes
// over one bit a rule and not a look at each rule, whatever the rules say.

#include "policy/match.hpp"

#include <map>
#include <unordered_map>

namespace vigil::policy {

/// A set of rules by number.
using RuleSet = std::vector<std::uint64_t>;

enum class Setting : std::size_t {
    access,
    message,
    idle_warn,
    idle_lock,
    idle_terminate,
    activity,
    max_duration,
    warn_before_end,
    max_sessions,
    unlock,
    incomplete_lock,
    lock_on_sleep,
    login_factors,
    remember_source,
};
inline constexpr std::size_t setting_count = 14;

/// The rules that name one thing: a list while they are few, a set when they are many.
class Postings {
public:
    void add(std::uint32_t rule, std::size_t words);
    void unite_into(RuleSet& set) const noexcept;

private:
    std::vector<std::uint32_t> few_;
    RuleSet many_;
};

class RuleIndex {
public:
    explicit RuleIndex(const std::vector<SessionRule>& rules);

    /// The rules whose match holds.
    RuleSet matching(const Facts& facts, const LocalTime& time) const;

    /// The first of `rules`, of those that have the setting if one is named.
    static std::optional<std::size_t> first(const RuleSet& rules) noexcept;
    std::optional<std::size_t> first(const RuleSet& rules, Setting setting) const noexcept;

private:
    struct Names {
        RuleSet open; ///< rules without the condition
        std::unordered_map<std::string, Postings> by_name;
    };
    struct NetworkHash {
        std::size_t operator()(const std::pair<unsigned, Address>& network) const noexcept;
    };
    struct Networks {
        RuleSet open;
        std::unordered_map<std::pair<unsigned, Address>, Postings, NetworkHash> by_network;
        std::array<bool, 129> prefixes{}; ///< those that any network has
    };
    /// Minutes of one day of the week, and the rules that name them.
    struct Span {
        std::uint16_t from;
        std::uint16_t to;
        std::uint32_t postings;
    };

    using SpanNumbers = std::map<std::array<unsigned, 3>, std::uint32_t>;

    void add(std::uint32_t number, const SessionRule& rule, SpanNumbers& known);
    void add_names(std::uint32_t number, const std::vector<std::string>& list, Names& names) const;
    void add_networks(std::uint32_t number, const std::vector<Network>& list,
                      Networks& networks) const;
    void add_windows(std::uint32_t number, const std::vector<Window>& list, SpanNumbers& known);
    RuleSet inside(const Networks& networks, const Address& address) const;
    void keep_from(const Facts& facts, RuleSet& set) const;
    RuleSet empty() const { return RuleSet(words_); }

    std::size_t words_;
    RuleSet all_;
    Names users_, groups_, services_;
    Networks from_, not_from_;
    RuleSet local_, unknown_; ///< from and not_from hold for a login without an address
    RuleSet any_class_, any_time_;
    std::array<Postings, 5> by_class_;
    std::array<std::vector<Span>, 7> spans_; ///< by day, each span once
    std::vector<Postings> by_span_;
    std::array<RuleSet, setting_count> has_;
};

} // namespace vigil::policy
