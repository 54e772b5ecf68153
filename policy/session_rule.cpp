#include "policy/rules.hpp"
#include "policy/ways.hpp"

namespace vigil::policy {

namespace {

constexpr std::size_t max_name_bytes = 64;
constexpr std::size_t max_message_bytes = 1024;

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
     {"when", read_windows},
     {"classes", [](Reader& reader, const Node& node, Match& match) {
          match.classes = read_words(reader, node, class_words);
      }}}};

constexpr std::array<Word<Access>, 2> access_words{
    {{"allow", Access::allow}, {"deny", Access::deny}}};
constexpr std::array<Word<WhenReached>, 1> when_reached_words{{{"deny", WhenReached::deny}}};
constexpr std::array<Word<Factor>, 2> unlock_words{
    {{"password", Factor::password}, {"totp", Factor::totp}}};

constexpr std::array<Word<Factor>, 3> login_words{
    {{"totp", Factor::totp}, {"recovery", Factor::recovery}, {"key", Factor::key}}};

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

constexpr std::array<Key<SessionRule>, 16> session_keys{
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
     {"idle_lock", read_limit<SessionRule, &SessionRule::idle_lock>},
     {"idle_terminate", read_limit<SessionRule, &SessionRule::idle_terminate>},
     {"activity", read_activity_setting},
     {"max_duration", read_limit<SessionRule, &SessionRule::max_duration>},
     {"warn_before_end",
      [](Reader& reader, const Node& node, SessionRule& rule) {
          read_warnings(reader, node, rule.warn_before_end.emplace());
      }},
     {"max_sessions", read_max_sessions},
     {"unlock", [](Reader& reader, const Node& node,
                   SessionRule& rule) { rule.unlock = read_words(reader, node, unlock_words); }},
     {"incomplete_lock",
      [](Reader& reader, const Node& node, SessionRule& rule) {
          read_word(reader, node, incomplete_lock_words, rule.incomplete_lock);
      }},
     {"lock_on_sleep",
      [](Reader& reader, const Node& node, SessionRule& rule) {
          read_word(reader, node, yes_no_words, rule.lock_on_sleep);
      }},
     {"login_factors",
      [](Reader& reader, const Node& node, SessionRule& rule) {
          read_ways<login_words>(reader, node, "login_factors", rule.login_factors.emplace());
      }},
     {"remember_source", [](Reader& reader, const Node& node, SessionRule& rule) {
          read_time(reader, node, Seconds{0}, rule.remember_source);
      }}}};

/// A warning has to come before what it warns of.
void check_idle_warn(Reader& reader, const Node& node, const SessionRule& rule) {
    const Node::Entry* entry = find_entry(node, "idle_warn");
    if (entry == nullptr)
        return;
    if (rule.idle_lock && *rule.idle_warn >= *rule.idle_lock)
        reader.refuse(entry->value.position,
                      "idle_warn: not shorter than idle_lock; it is the time before the lock");
    check_idle_warn(reader, node, rule.idle_warn, rule.idle_terminate);
}

/// A proof is asked for before there is a session, and in doubt about the address a rule either
/// asks or lets in.
void check_login_factors(Reader& reader, const Node& node, const SessionRule& rule) {
    for (const char* key : {"login_factors", "remember_source"}) {
        const Node::Entry* const entry = find_entry(node, key);
        if (entry != nullptr && !rule.match.classes.empty())
            reader.refuse(entry->position,
                          entry->key + ": is about a login, whose class is not known yet; take "
                                       "classes out of match");
    }
    const Node::Entry* const entry = find_entry(node, "login_factors");
    if (entry != nullptr && rule.access && !rule.login_factors->empty())
        reader.refuse(entry->position,
                      "login_factors: not in a rule with access; make it a rule of its own");
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
    check_warnings(reader, node, rule.warn_before_end, rule.max_duration);
    check_login_factors(reader, node, rule);
    if (node.entries.size() <= (find_entry(node, "match") == nullptr ? 1U : 2U))
        reader.refuse(node.position, "a rule that sets nothing; add a setting, or take it out");
}

} // namespace

void read_session_rule(Reader& reader, const Node& node, SessionRule& rule) {
    read_mapping(reader, node, session_keys, rule);
    check_session_rule(reader, node, rule);
}

} // namespace vigil::policy
