#pragma once
// The policy as a value: what policy.yaml says, checked, with nothing of YAML left in it.
// Built by parse.hpp, asked by decide.hpp. See vigil-policy(5).

#include "base/time.hpp"
#include "policy/command.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vigil::policy {

enum class Mode { enforce, observe };

enum class SessionClass {
    interactive, ///< has a terminal
    command,     ///< ssh host command: no terminal seen
    graphical,
    transfer, ///< no terminal, and nothing runs but programs that copy
    forward,  ///< no terminal, and nothing runs at all: ssh -N
};

/// Those whose work alone tells whether they are idle: nobody can press a key there.
constexpr bool has_no_terminal(SessionClass session_class) noexcept {
    return session_class == SessionClass::command || session_class == SessionClass::transfer ||
           session_class == SessionClass::forward;
}

/// What puts idle_terminate off beside input. By default all of it: nothing that works is ended for
/// being quiet.
struct Activity {
    bool output = true;    ///< on the session's terminals
    bool bytes = true;     ///< over its connection
    bool processor = true; ///< time of its processes

    bool operator==(const Activity&) const = default;
};

enum class Factor { password, totp, recovery, key, approval };

/// All of these together, none twice.
using Factors = std::vector<Factor>;

enum class Access { allow, deny };

/// What happens to a login beyond max_sessions.
enum class WhenReached { deny };

/// What is done with a session that cannot be locked wholly.
enum class IncompleteLock { lock, end };

/// A network, IPv4 as IPv4-mapped IPv6. `local` stands for logins without a remote address.
struct Network {
    std::array<std::uint8_t, 16> address{};
    unsigned prefix = 128;
    bool local = false;
};

/// A parsed remote address; nullopt elsewhere means local.
using Address = std::array<std::uint8_t, 16>;

/// Minutes of local time on some days of the week. `to` <= `from` crosses midnight into the next
/// day.
struct Window {
    std::array<bool, 7> days{}; ///< Monday is 0
    unsigned from_minute = 0;   ///< 0 … 1439
    unsigned to_minute = 1440;  ///< 1 … 1440
};

/// All given conditions must hold; an empty list is no condition. Within a list one is enough.
struct Match {
    std::vector<std::string> users;
    std::vector<std::string> groups;
    std::vector<std::string> services;
    std::vector<Network> from;
    std::vector<Network> not_from;
    std::vector<Window> when;
    std::vector<SessionClass> classes;
    std::vector<std::string> run_as;      ///< step_up and elevated only
    std::vector<CommandPattern> commands; ///< step_up only
};

struct MaxSessions {
    std::optional<std::uint32_t> per_user;
    WhenReached when_reached = WhenReached::deny;

    bool operator==(const MaxSessions&) const = default;
};

/// A setting that is not there is left to the rules below (ssh_config's rule: first value wins).
struct SessionRule {
    std::string name;
    Match match;
    std::optional<Access> access;
    std::optional<std::string> message;
    std::optional<Seconds> idle_warn;
    std::optional<Seconds> idle_lock; ///< `never`: no limit, and no rule below is asked
    std::optional<Seconds> idle_terminate;
    std::optional<Activity> activity;
    std::optional<Seconds> max_duration;
    std::optional<std::vector<Seconds>> warn_before_end; ///< descending
    std::optional<MaxSessions> max_sessions;
    std::optional<std::vector<Factor>> unlock;
    std::optional<IncompleteLock> incomplete_lock;
    std::optional<bool> lock_on_sleep;
    std::optional<std::vector<Factors>> login_factors; ///< one of these; empty is `none`
    std::optional<Seconds> remember_source;            ///< `never` is 0
};

/// Whether this can be asked for while somebody logs in: no ssh agent is there yet.
constexpr bool is_asked_at_login(Factor factor) noexcept {
    return factor == Factor::totp || factor == Factor::recovery;
}

enum class GrantScope { terminal, session };

/// Who may answer for somebody else, beside root. Within and between the lists one is enough.
struct Approvers {
    std::vector<std::string> users;
    std::vector<std::string> groups;
};

struct StepUpRule {
    Match match;
    std::vector<Factors> require; ///< one of these; empty is `none`: nothing to prove
    bool key_verified = false;    ///< a security key has to ask for its PIN, or a finger, too
    Approvers approvers;          ///< of `approval`: one of them at least, where it is required
    Seconds valid_for{0};         ///< 0: every time
    GrantScope scope = GrantScope::terminal;
    std::optional<std::uint32_t> uses;
    /// So long after he first met such a rule, who never had a factor can do without what he has to
    /// enrol.
    std::optional<Seconds> enroll_within;
};

/// What sudo, su and pkexec started, by the login that it is in. As in SessionRule, the first value
/// of a setting wins.
struct ElevatedRule {
    Match match;
    std::optional<Seconds> idle_warn;
    std::optional<Seconds> idle_terminate;
    std::optional<Seconds> max_duration;
    std::optional<std::vector<Seconds>> warn_before_end; ///< descending
};

class RuleIndex;

struct Policy {
    Mode mode = Mode::enforce;
    std::vector<SessionRule> sessions;
    std::vector<StepUpRule> step_up;
    std::vector<ElevatedRule> elevated;
    /// Of `sessions` as they were when it was made, by parse() or index_rules(): whoever changes a
    /// rule afterwards makes it again. Without one each decision makes its own, which is slow.
    std::shared_ptr<const RuleIndex> index;
};

/// For a person: "3 session rules, 1 step-up rule".
std::string summary(const Policy& policy);

/// What a policy that is sound does all the same to somebody's harm: a line each, for its author.
std::vector<std::string> warnings(const Policy& policy);

/// Makes the index.
void index_rules(Policy& policy);

} // namespace vigil::policy
