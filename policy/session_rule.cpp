#include "policy/rules.hpp"
#include "policy/values.hpp"

namespace vigil::policy {

namespace {

constexpr std::size_t max_warnings = 16;
constexpr std::size_t max_name_bytes = 64;
constexpr std::size_t max_message_bytes = 1024;

template <std::optional<Seconds> SessionRule::* Setting>
void read_limit(Reader& reader, const Node& node, SessionRule& rule) {
    read_time(reader, node, never, rule.*Setting);
}

template <std::vector<Network> Match::* Networks>
void read_networks(Reader& reader, const Node& node, Match& match) {
    read_list<Network>(reader, node, read_network, match.*Networks);
}

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

} // namespace

void read_session_rule(Reader& reader, const Node& node, SessionRule& rule) {
    read_mapping(reader, node, session_keys, rule);
    check_session_rule(reader, node, rule);
}

} // namespace vigil::policy
