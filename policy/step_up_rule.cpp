#include "policy/decide.hpp"
#include "policy/rules.hpp"
#include "policy/ways.hpp"

namespace vigil::policy {

namespace {

/// `/usr/bin/passwd root`, or its words.
void read_command_item(Reader& reader, const Node& node, CommandPattern& out) {
    if (node.kind != Node::Kind::list) {
        if (reader.is_text(node))
            reader.take(node, read_command(node.text), out);
        return;
    }
    std::vector<std::string_view> words;
    for (const Node& word : node.items) {
        // The one place where nothing is a value: an argument can be empty.
        const bool is_empty = word.quoted && word.text.empty();
        if (!is_empty && !reader.is_text(word))
            return;
        words.emplace_back(word.text);
    }
    reader.take(node, read_command(words), out);
}

void read_commands(Reader& reader, const Node& node, Match& match) {
    if (!reader.is_list(node, max_list))
        return;
    match.commands.resize(node.items.size());
    for (std::size_t i = 0; i < match.commands.size() && reader.ok(); ++i)
        read_command_item(reader, node.items[i], match.commands[i]);
}

constexpr std::array<Key<Match>, 5> step_up_match_keys{{{"users", read_names<&Match::users>},
                                                        {"groups", read_names<&Match::groups>},
                                                        {"services", read_names<&Match::services>},
                                                        {"run_as", read_names<&Match::run_as>},
                                                        {"commands", read_commands}}};

constexpr std::array<Word<Factor>, 5> step_up_words{{{"totp", Factor::totp},
                                                     {"recovery", Factor::recovery},
                                                     {"password", Factor::password},
                                                     {"key", Factor::key},
                                                     {"approval", Factor::approval}}};
constexpr std::array<Word<GrantScope>, 2> scope_words{
    {{"terminal", GrantScope::terminal}, {"session", GrantScope::session}}};

constexpr std::array<Key<Approvers>, 2> approvers_keys{
    {{"users",
      [](Reader& reader, const Node& node, Approvers& approvers) {
          read_list<std::string>(reader, node, read_name, approvers.users);
      }},
     {"groups", [](Reader& reader, const Node& node, Approvers& approvers) {
          read_list<std::string>(reader, node, read_name, approvers.groups);
      }}}};

/// A grace that never ends is `require: none`, which says so.
constexpr Seconds longest_grace = std::chrono::days{90};

constexpr std::array<Word<bool>, 2> key_words{{{"touched", false}, {"verified", true}}};

constexpr std::array<Key<StepUpRule>, 8> step_up_keys{
    {{"match",
      [](Reader& reader, const Node& node, StepUpRule& rule) {
          read_mapping(reader, node, step_up_match_keys, rule.match);
      }},
     {"require",
      [](Reader& reader, const Node& node, StepUpRule& rule) {
          read_ways<step_up_words>(reader, node, "require", rule.require);
      }},
     {"key", [](Reader& reader, const Node& node,
                StepUpRule& rule) { read_word(reader, node, key_words, rule.key_verified); }},
     {"approvers",
      [](Reader& reader, const Node& node, StepUpRule& rule) {
          read_mapping(reader, node, approvers_keys, rule.approvers);
      }},
     {"valid_for",
      [](Reader& reader, const Node& node, StepUpRule& rule) {
          if (reader.is_text(node) && node.text != "0")
              reader.take(node, read_duration(node.text), rule.valid_for);
      }},
     {"scope", [](Reader& reader, const Node& node,
                  StepUpRule& rule) { read_word(reader, node, scope_words, rule.scope); }},
     {"uses",
      [](Reader& reader, const Node& node, StepUpRule& rule) {
          if (reader.is_text(node))
              reader.take(node, read_number(node.text, 1, 1'000'000), rule.uses);
      }},
     {"enroll_within", [](Reader& reader, const Node& node, StepUpRule& rule) {
          Seconds time{0};
          if (!reader.is_text(node))
              return;
          reader.take(node, read_duration(node.text), time);
          if (reader.ok() && time > longest_grace)
              reader.refuse_value(node, "more than 90d; who needs longer gets a rule of his own");
          rule.enroll_within = time;
      }}}};

bool is_approved(const Factors& way) {
    return std::ranges::count(way, Factor::approval) > 0;
}

bool has_key(const Factors& way) {
    return std::ranges::count(way, Factor::key) > 0;
}

/// An approval is for one command, as it was seen: it counts once.
void check_approvals(Reader& reader, const Node& node, const StepUpRule& rule) {
    const bool some = std::ranges::any_of(rule.require, is_approved);
    const bool all = some && std::ranges::all_of(rule.require, is_approved);
    const auto* const approvers = find_entry(node, "approvers");
    if (some && rule.approvers.users.empty() && rule.approvers.groups.empty())
        reader.refuse(node.position, "approval without approvers; say who may answer: "
                                     "`approvers: {groups: [...]}`");
    if (!some && approvers != nullptr)
        reader.refuse(approvers->position,
                      "approvers: says nothing where no approval is required; take it out");
    if (const auto* const entry = find_entry(node, "valid_for");
        all && entry != nullptr && rule.valid_for != Seconds{0})
        reader.refuse(entry->position,
                      "valid_for: an approval is for one command and counts once; take it out");
}

bool has_enrolled(const Factors& way) {
    return std::ranges::any_of(way, is_enrolled);
}

void check_step_up_rule(Reader& reader, const Node& node, const StepUpRule& rule) {
    if (!reader.ok())
        return;
    if (find_entry(node, "require") == nullptr)
        reader.refuse(node.position, "a rule without require; say `require: [totp]` or none");
    check_approvals(reader, node, rule);
    if (const auto* const entry = find_entry(node, "key");
        entry != nullptr && std::ranges::none_of(rule.require, has_key))
        reader.refuse(entry->position, "key: says nothing where no key is required; take it out");
    if (const auto* const entry = find_entry(node, "enroll_within");
        entry != nullptr && std::ranges::none_of(rule.require, has_enrolled))
        reader.refuse(entry->position, "enroll_within: says nothing where no factor that has to be "
                                       "enrolled is required; take it out");
    for (const char* key : {"valid_for", "scope", "uses"}) {
        const Node::Entry* entry = find_entry(node, key);
        if (entry != nullptr && rule.require.empty())
            reader.refuse(entry->position,
                          entry->key + ": says nothing where nothing is required; take it out");
        if (entry != nullptr && entry->key != "valid_for" && rule.valid_for == Seconds{0})
            reader.refuse(entry->position, entry->key + ": says nothing without valid_for, which "
                                                        "is 0: asked every time; set valid_for");
    }
}

} // namespace

void read_step_up_rule(Reader& reader, const Node& node, StepUpRule& rule) {
    read_mapping(reader, node, step_up_keys, rule);
    check_step_up_rule(reader, node, rule);
}

} // namespace vigil::policy
