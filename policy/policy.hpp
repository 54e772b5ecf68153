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

enum class Factor { password, totp, recovery };

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
    std::vector<std::string> run_as;      ///< step_up only
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
};

enum class GrantScope { terminal, session };

struct StepUpRule {
    Match match;
    std::vector<Factor> require; ///< one of these; empty is `none`: nothing to prove
    Seconds valid_for{0};        ///< 0: every time
    GrantScope scope = GrantScope::terminal;
    std::optional<std::uint32_t> uses;
};

class RuleIndex;

struct Policy {
    Mode mode = Mode::enforce;
    std::vector<SessionRule> sessions;
    std::vector<StepUpRule> step_up;
    /// Of `sessions` as they were when it was made, by parse() or index_rules(): whoever changes a
    /// rule afterwards makes it again. Without one each decision makes its own, which is slow.
    std::shared_ptr<const RuleIndex> index;
};

/// For a person: "3 session rules, 1 step-up rule".
std::string summary(const Policy& policy);

/// Makes the index.
void index_rules(Policy& policy);

} // namespace vigil::policy
