#include "policy/rules.hpp"
#include "policy/values.hpp"

namespace vigil::policy {

namespace {

constexpr std::array<Key<Match>, 7> elevated_match_keys{
    {{"users", read_names<&Match::users>},
     {"groups", read_names<&Match::groups>},
     {"services", read_names<&Match::services>},
     {"from", read_networks<&Match::from>},
     {"not_from", read_networks<&Match::not_from>},
     {"when", read_windows},
     {"run_as", read_names<&Match::run_as>}}};

constexpr std::array<Key<ElevatedRule>, 5> elevated_keys{
    {{"match",
      [](Reader& reader, const Node& node, ElevatedRule& rule) {
          read_mapping(reader, node, elevated_match_keys, rule.match);
      }},
     {"idle_warn", [](Reader& reader, const Node& node,
                      ElevatedRule& rule) { read_time(reader, node, Seconds{0}, rule.idle_warn); }},
     {"idle_terminate", read_limit<ElevatedRule, &ElevatedRule::idle_terminate>},
     {"max_duration", read_limit<ElevatedRule, &ElevatedRule::max_duration>},
     {"warn_before_end", [](Reader& reader, const Node& node, ElevatedRule& rule) {
          read_warnings(reader, node, rule.warn_before_end.emplace());
      }}}};

} // namespace

void read_elevated_rule(Reader& reader, const Node& node, ElevatedRule& rule) {
    read_mapping(reader, node, elevated_keys, rule);
    if (!reader.ok())
        return;
    check_idle_warn(reader, node, rule.idle_warn, rule.idle_terminate);
    check_warnings(reader, node, rule.warn_before_end, rule.max_duration);
    if (node.entries.size() <= (find_entry(node, "match") == nullptr ? 0U : 1U))
        reader.refuse(node.position, "a rule that sets nothing; add a setting, or take it out");
}

} // namespace vigil::policy
