#include "policy/parse.hpp"

#include "policy/reader.hpp"
#include "policy/scalars.hpp"

#include <algorithm>
#include <unordered_map>

namespace vigil::policy {

namespace {

constexpr std::size_t max_list = 1024;
constexpr std::size_t max_warnings = 16;
constexpr std::size_t max_name_bytes = 64;
constexpr std::size_t max_message_bytes = 1024;

// ---- values

template <typename T>
struct Word {
    std::string_view text;
    T value;
};

/// One of a few words.
template <typename T, std::size_t Count, typename Out>
void read_word(Reader& reader, const Node& node, const std::array<Word<T>, Count>& words,
               Out& out) {
    if (!reader.is_text(node))
        return;
    std::string choices;
    for (const Word<T>& word : words) {
        if (node.text == word.text) {
            out = word.value;
            return;
        }
        choices += (choices.empty() ? "" : ", ") + std::string{word.text};
    }
    reader.refuse_value(node,
                        quote(node.text) + " is not known to this version; known: " + choices);
}

/// A list of a few words, none twice.
template <typename T, std::size_t Count>
std::vector<T> read_words(Reader& reader, const Node& node,
                          const std::array<Word<T>, Count>& words) {
    std::vector<T> values;
    if (!reader.is_list(node, Count + 1))
        return values;
    for (const Node& item : node.items) {
        T value{};
        read_word(reader, item, words, value);
        if (std::ranges::find(values, value) != values.end())
            reader.refuse_value(item, quote(item.text) + " is given twice; take one out");
        values.push_back(value);
    }
    return values;
}

template <typename T>
void read_list(Reader& reader, const Node& node, Result<T> (*read)(std::string_view),
               std::vector<T>& out) {
    if (!reader.is_list(node, max_list))
        return;
    out.resize(node.items.size());
    for (std::size_t i = 0; i < out.size() && reader.ok(); ++i) {
        if (reader.is_text(node.items[i]))
            reader.take(node.items[i], read(node.items[i].text), out[i]);
    }
}

/// A duration of a second at least. `if_never`: what `never` means, nullopt where it means nothing.
void read_time(Reader& reader, const Node& node, std::optional<Seconds> if_never,
               std::optional<Seconds>& out) {
    if (!reader.is_text(node))
        return;
    if (node.text == "never" && if_never) {
        out = *if_never;
        return;
    }
    reader.take(node, read_duration(node.text), out);
    if (out && *out == Seconds{0})
        reader.refuse_value(node, quote(node.text) + " is no time at all; say 1s or more" +
                                      (if_never ? ", or never" : ""));
}

template <std::optional<Seconds> SessionRule::* Setting>
void read_limit(Reader& reader, const Node& node, SessionRule& rule) {
    read_time(reader, node, never, rule.*Setting);
}

template <std::vector<std::string> Match::* Names>
void read_names(Reader& reader, const Node& node, Match& match) {
    read_list<std::string>(reader, node, read_name, match.*Names);
}

template <std::vector<Network> Match::* Networks>
void read_networks(Reader& reader, const Node& node, Match& match) {
    read_list<Network>(reader, node, read_network, match.*Networks);
}

// ---- match

constexpr std::array<Word<SessionClass>, 5> class_words{{{"interactive", SessionClass::interactive},
                                                         {"command", SessionClass::command},
                                                         {"transfer", SessionClass::transfer},
                                                         {"forward", SessionClass::forward},
                                                         {"graphical", SessionClass::graphical}}};

constexpr std::array<Key<Match>, 7> session_match_keys{
    {{"users", read_names<&Match::users>},
     {"groups", read_names<&Match::groups>},
     {"services", read_names<&Match::services>},
     {"from", read_networks<&Match::from>},
     {"not_from", read_networks<&Match::not_from>},
     {"when", [](Reader& reader, const Node& node,
                 Match& match) { read_list<Window>(reader, node, read_window, match.when); }},
     {"classes", [](Reader& reader, const Node& node, Match& match) {
          match.classes = read_words(reader, node, class_words);
      }}}};

constexpr std::array<Key<Match>, 4> step_up_match_keys{{{"users", read_names<&Match::users>},
                                                        {"groups", read_names<&Match::groups>},
                                                        {"services", read_names<&Match::services>},
                                                        {"run_as", read_names<&Match::run_as>}}};

// ---- sessions

constexpr std::array<Word<Access>, 2> access_words{
    {{"allow", Access::allow}, {"deny", Access::deny}}};
constexpr std::array<Word<WhenReached>, 1> when_reached_words{{{"deny", WhenReached::deny}}};
constexpr std::array<Word<Factor>, 2> unlock_words{
    {{"password", Factor::password}, {"totp", Factor::totp}}};

constexpr std::array<Word<bool>, 2> yes_no_words{{{"yes", true}, {"no", false}}};
constexpr std::array<Word<IncompleteLock>, 2> incomplete_lock_words{
    {{"lock", IncompleteLock::lock}, {"end", IncompleteLock::end}}};

constexpr std::array<Key<MaxSessions>, 2> max_sessions_keys{
    {{"user",
      [](Reader& reader, const Node& node, MaxSessions& most) {
          if (reader.is_text(node) && node.text != "never")
              reader.take(node, read_number(node.text, 1, 10'000), most.per_user);
      }},
     {"when_reached", [](Reader& reader, const Node& node, MaxSessions& most) {
          read_word(reader, node, when_reached_words, most.when_reached);
      }}}};

void read_max_sessions(Reader& reader, const Node& node, SessionRule& rule) {
    MaxSessions most;
    read_mapping(reader, node, max_sessions_keys, most);
    if (reader.ok() && find_entry(node, "user") == nullptr)
        reader.refuse(node.position,
                      "max_sessions: user is missing; say {user: 3} or {user: never}");
    rule.max_sessions = most;
}

void read_warn_before_end(Reader& reader, const Node& node, SessionRule& rule) {
    std::vector<Seconds>& warnings = rule.warn_before_end.emplace();
    if (node.kind == Node::Kind::text && node.text == "never")
        return;
    if (!reader.is_list(node, max_warnings))
        return;
    for (const Node& item : node.items) {
        std::optional<Seconds> time;
        read_time(reader, item, std::nullopt, time);
        if (!reader.ok())
            return;
        if (std::ranges::find(warnings, *time) != warnings.end())
            reader.refuse_value(item, quote(item.text) + " is given twice; take one out");
        warnings.push_back(*time);
    }
    std::ranges::sort(warnings, std::ranges::greater{});
}

void read_activity_setting(Reader& reader, const Node& node, SessionRule& rule) {
    if (reader.is_text(node))
        reader.take(node, read_activity(node.text), rule.activity);
}

template <std::size_t Most>
void read_line(Reader& reader, const Node& node, std::optional<std::string>& out) {
    if (!reader.is_text(node))
        return;
    if (node.text.size() > Most)
        reader.refuse_value(node,
                            "longer than " + std::to_string(Most) + " bytes; make it shorter");
    out = node.text;
}

constexpr std::array<Key<SessionRule>, 14> session_keys{
    {{"name",
      [](Reader& reader, const Node& node, SessionRule& rule) {
          std::optional<std::string> name;
          read_line<max_name_bytes>(reader, node, name);
          rule.name = name.value_or("");
      }},
     {"match",
      [](Reader& reader, const Node& node, SessionRule& rule) {
          read_mapping(reader, node, session_match_keys, rule.match);
      }},
     {"access", [](Reader& reader, const Node& node,
                   SessionRule& rule) { read_word(reader, node, access_words, rule.access); }},
     {"message",
      [](Reader& reader, const Node& node, SessionRule& rule) {
          read_line<max_message_bytes>(reader, node, rule.message);
      }},
     {"idle_warn", [](Reader& reader, const Node& node,
                      SessionRule& rule) { read_time(reader, node, Seconds{0}, rule.idle_warn); }},
     {"idle_lock", read_limit<&SessionRule::idle_lock>},
     {"idle_terminate", read_limit<&SessionRule::idle_terminate>},
     {"activity", read_activity_setting},
     {"max_duration", read_limit<&SessionRule::max_duration>},
     {"warn_before_end", read_warn_before_end},
     {"max_sessions", read_max_sessions},
     {"unlock", [](Reader& reader, const Node& node,
                   SessionRule& rule) { rule.unlock = read_words(reader, node, unlock_words); }},
     {"incomplete_lock",
      [](Reader& reader, const Node& node, SessionRule& rule) {
          read_word(reader, node, incomplete_lock_words, rule.incomplete_lock);
      }},
     {"lock_on_sleep", [](Reader& reader, const Node& node, SessionRule& rule) {
          read_word(reader, node, yes_no_words, rule.lock_on_sleep);
      }}}};

/// A warning has to come before what it warns of.
void check_idle_warn(Reader& reader, const Node& node, const SessionRule& rule) {
    const Node::Entry* entry = find_entry(node, "idle_warn");
    if (entry == nullptr)
        return;
    if (rule.idle_lock && *rule.idle_warn >= *rule.idle_lock)
        reader.refuse(entry->value.position,
                      "idle_warn: not shorter than idle_lock; it is the time before the lock");
    if (rule.idle_terminate && *rule.idle_warn >= *rule.idle_terminate)
        reader.refuse(entry->value.position,
                      "idle_warn: not shorter than idle_terminate; it is the time before the end");
}

void check_session_rule(Reader& reader, const Node& node, const SessionRule& rule) {
    if (!reader.ok())
        return;
    if (find_entry(node, "name") == nullptr)
        reader.refuse(node.position, "a rule without a name; write `name:` and a few words");
    const Node::Entry* message = find_entry(node, "message");
    if (message != nullptr && rule.access != Access::deny)
        reader.refuse(message->position, "message: shown with `access: deny` alone; add that, or "
                                         "take the message out");
    check_idle_warn(reader, node, rule);
    const Node::Entry* warn = find_entry(node, "warn_before_end");
    if (warn != nullptr && rule.max_duration && !rule.warn_before_end->empty() &&
        rule.warn_before_end->front() >= *rule.max_duration)
        reader.refuse(warn->value.position,
                      "warn_before_end: not shorter than max_duration; it is the time before that");
    if (node.entries.size() <= (find_entry(node, "match") == nullptr ? 1U : 2U))
        reader.refuse(node.position, "a rule that sets nothing; add a setting, or take it out");
}

// ---- step_up

constexpr std::array<Word<Factor>, 1> step_up_words{{{"totp", Factor::totp}}};
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

// ---- the file

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
        read_mapping(reader, item, session_keys, rule);
        check_session_rule(reader, item, rule);
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
        read_mapping(reader, item, step_up_keys, rule);
        check_step_up_rule(reader, item, rule);
        if (!reader.ok() || !has_room(reader, item, file.policy.step_up))
            return;
        file.policy.step_up.push_back(std::move(rule));
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

constexpr std::array<Key<File>, 4> file_keys{
    {{"version",
      [](Reader& reader, const Node& node, File&) {
          if (reader.is_text(node) && node.text != "1")
              reader.refuse_value(node, quote(node.text) + " is not known to this version; say 1");
      }},
     {"mode", read_mode},
     {"sessions", read_sessions},
     {"step_up", read_step_up}}};

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
