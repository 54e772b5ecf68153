#include "policy/rules.hpp"
#include "policy/values.hpp"

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
        if (!reader.is_text(word))
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

constexpr std::array<Word<Factor>, 2> step_up_words{
    {{"totp", Factor::totp}, {"recovery", Factor::recovery}}};
constexpr std::array<Word<GrantScope>, 2> scope_words{
    {{"terminal", GrantScope::terminal}, {"session", GrantScope::session}}};

constexpr std::array<Key<StepUpRule>, 5> step_up_keys{
    {{"match",
      [](Reader& reader, const Node& node, StepUpRule& rule) {
          read_mapping(reader, node, step_up_match_keys, rule.match);
      }},
     {"require",
      [](Reader& reader, const Node& node, StepUpRule& rule) {
          if (node.kind == Node::Kind::text && node.text == "none")
              return;
          if (node.kind == Node::Kind::list)
              rule.require = read_words(reader, node, step_up_words);
          else
              reader.refuse_value(node, "not none and not a list; say none, or [totp]");
      }},
     {"valid_for",
      [](Reader& reader, const Node& node, StepUpRule& rule) {
          if (reader.is_text(node) && node.text != "0")
              reader.take(node, read_duration(node.text), rule.valid_for);
      }},
     {"scope", [](Reader& reader, const Node& node,
                  StepUpRule& rule) { read_word(reader, node, scope_words, rule.scope); }},
     {"uses", [](Reader& reader, const Node& node, StepUpRule& rule) {
          if (reader.is_text(node))
              reader.take(node, read_number(node.text, 1, 1'000'000), rule.uses);
      }}}};

void check_step_up_rule(Reader& reader, const Node& node, const StepUpRule& rule) {
    if (!reader.ok())
        return;
    if (find_entry(node, "require") == nullptr)
        reader.refuse(node.position, "a rule without require; say `require: [totp]` or none");
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
