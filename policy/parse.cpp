#include "policy/parse.hpp"

#include "policy/rules.hpp"
#include "policy/values.hpp"

#include <unordered_map>

namespace vigil::policy {

namespace {

struct File {
    Policy& policy;
    std::unordered_map<std::string, std::string>& names; ///< a rule's name, and the file it is in
    std::string& mode_file;                              ///< the file that set the mode
    const std::string& name;
};

template <typename Rule>
bool has_room(Reader& reader, const Node& node, std::vector<Rule>& rules) {
    if (rules.size() < max_rules)
        return true;
    reader.refuse(node.position, "more than " + std::to_string(max_rules) +
                                     " rules; name several users or groups in one");
    return false;
}

void read_sessions(Reader& reader, const Node& node, File& file) {
    if (!reader.is_list(node, max_rules))
        return;
    for (const Node& item : node.items) {
        SessionRule rule;
        reader.set_key("");
        read_session_rule(reader, item, rule);
        if (!reader.ok() || !has_room(reader, item, file.policy.sessions))
            return;
        const auto [same, is_new] = file.names.emplace(rule.name, file.name);
        if (!is_new)
            return reader.refuse(find_entry(item, "name")->value.position,
                                 "name: " + quote(rule.name) + " is taken by a rule above, in " +
                                     same->second + "; choose another");
        file.policy.sessions.push_back(std::move(rule));
    }
}

void read_step_up(Reader& reader, const Node& node, File& file) {
    if (!reader.is_list(node, max_rules))
        return;
    for (const Node& item : node.items) {
        StepUpRule rule;
        reader.set_key("");
        read_step_up_rule(reader, item, rule);
        if (!reader.ok() || !has_room(reader, item, file.policy.step_up))
            return;
        file.policy.step_up.push_back(std::move(rule));
    }
}

void read_elevated(Reader& reader, const Node& node, File& file) {
    if (!reader.is_list(node, max_rules))
        return;
    for (const Node& item : node.items) {
        ElevatedRule rule;
        reader.set_key("");
        read_elevated_rule(reader, item, rule);
        if (!reader.ok() || !has_room(reader, item, file.policy.elevated))
            return;
        file.policy.elevated.push_back(std::move(rule));
    }
}

constexpr std::array<Word<Mode>, 2> mode_words{
    {{"enforce", Mode::enforce}, {"observe", Mode::observe}}};

void read_mode(Reader& reader, const Node& node, File& file) {
    read_word(reader, node, mode_words, file.policy.mode);
    if (!file.mode_file.empty())
        reader.refuse_value(node, "already set in " + file.mode_file + "; set it in one file");
    file.mode_file = file.name;
}

constexpr std::array<Key<File>, 5> file_keys{
    {{"version",
      [](Reader& reader, const Node& node, File&) {
          if (reader.is_text(node) && node.text != "1")
              reader.refuse_value(node, quote(node.text) + " is not known to this version; say 1");
      }},
     {"mode", read_mode},
     {"sessions", read_sessions},
     {"step_up", read_step_up},
     {"elevated", read_elevated}}};

} // namespace

Result<Policy> parse(const std::vector<Source>& sources) {
    Policy policy;
    std::unordered_map<std::string, std::string> names;
    std::string mode_file;
    if (sources.empty())
        return fail("no policy file; write one that says `version: 1`");
    for (const Source& source : sources) {
        const auto root = read_tree(source);
        if (!root)
            return std::unexpected{root.error()};
        Reader reader{source};
        File file{.policy = policy, .names = names, .mode_file = mode_file, .name = source.name};
        read_mapping(reader, *root, file_keys, file);
        if (find_entry(*root, "version") == nullptr)
            reader.refuse(root->position, "version is missing; write `version: 1`");
        if (!reader.ok())
            return std::unexpected{*reader.error()};
    }
    index_rules(policy);
    return policy;
}

} // namespace vigil::policy
