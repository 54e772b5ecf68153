#pragma once
// (Policy, Facts, Now) -> Decision, and the rule that made it. Pure.

#include "policy/policy.hpp"

namespace vigil::policy {

/// What is known of a login. All of it from the kernel or from root's side of PAM.
struct Facts {
    std::string user;
    std::uint32_t uid = UINT32_MAX;
    std::vector<std::string> groups;
    std::string service;
    std::optional<Address> remote; ///< nullopt: local, or not known: see remote_unknown
    bool remote_unknown = false;   ///< RemoteHost::is_remote without an address
    SessionClass session_class = SessionClass::interactive;

    bool operator==(const Facts&) const = default;
};

/// Limits with no rule speaking of them are `never`.
struct SessionDecision {
    Access access = Access::allow;
    std::string message; ///< for the user, when access is denied
    std::string rule;    ///< the first rule that matched, by name; "" if none
    Seconds idle_warn{0};
    Seconds idle_lock = never;
    /// Without a terminal: `never`, unless the rule it comes from names the session's class.
    Seconds idle_terminate = never;
    Activity activity; ///< without a terminal: bytes and processor, whatever the rules say
    Seconds max_duration = never;
    std::vector<Seconds> warn_before_end; ///< descending
    MaxSessions max_sessions;
    std::vector<Factor> unlock{Factor::password, Factor::totp};
    IncompleteLock incomplete_lock = IncompleteLock::lock;
    bool lock_on_sleep = true;          ///< what idle_lock would lock, before the machine sleeps
    std::vector<Factors> login_factors; ///< one of these has to be proved first; empty: nothing
    std::string login_rule;             ///< which rule says so, by name
    Seconds remember_source{0};         ///< how long not again from the same source; 0: each time

    bool operator==(const SessionDecision&) const = default;
};

/// ssh_config's rule: top to bottom, every rule that matches applies, the first value of a setting
/// wins. `idle_warn` and what it warns of may come from different rules, so it may be the longer.
SessionDecision decide_session(const Policy& policy, const Facts& facts, const Now& now);

struct StepUpDecision {
    enum class Verdict {
        not_applicable, ///< no rule matches
        none,           ///< a rule says that nothing needs proving
        prove,
    };
    Verdict verdict = Verdict::not_applicable;
    std::size_t rule = 0;          ///< index in Policy::step_up of the rule that decided
    std::vector<std::size_t> also; ///< others that ask with it: see both()
    std::vector<Factors> require;
    bool key_verified = false;
    Seconds valid_for{0};
    GrantScope scope = GrantScope::terminal;
    std::optional<std::uint32_t> uses;
    std::optional<Seconds> enroll_within;
};

/// What two rules ask for together, of two people behind one command: each way of the one with each
/// of the other. Both have the verdict `prove`. It is asked for each time, for a grant is of one
/// rule, and there is time to enrol where both give it.
StepUpDecision both(const StepUpDecision& one, const StepUpDecision& other);

/// What a person has to enrol before he can prove it; of the others everybody has a password, and
/// approvers are somebody else.
constexpr bool is_enrolled(Factor factor) noexcept {
    return factor == Factor::totp || factor == Factor::key || factor == Factor::recovery;
}

/// What is left of these ways for who still has time to enrol: their other factors. Empty: one of
/// the ways has none, so nothing is to be proved.
std::vector<Factors> without_enrolled(const std::vector<Factors>& ways);

/// What is to be run, and as whom. nullopt where the asker cannot know it (PAM under sudo): that
/// every rule means which requires something, and none that requires nothing.
struct StepUpTarget {
    std::optional<std::string> run_as;
    std::optional<Command> command;

    bool operator==(const StepUpTarget&) const = default;
};

/// First match decides.
StepUpDecision decide_step_up(const Policy& policy, const Facts& facts, const StepUpTarget& target,
                              const Now& now);

/// Limits of what was started as `run_as`, in the login that the facts are about, with
/// Facts::service that of sudo, su or pkexec. nullopt: no rule matches, and it has no clock of its
/// own. Terminals' output puts no end off: what it writes itself counts as its work.
std::optional<SessionDecision> decide_elevated(const Policy& policy, const Facts& facts,
                                               const std::string& run_as, const Now& now);

/// Whether this person may answer for somebody else. Root is not asked for here.
bool is_approver(const Approvers& approvers, const Facts& facts);

/// PAM_RHOST as an address. nullopt for "", "localhost"-like names, and anything that is not a
/// literal address (with or without a zone): nothing is ever looked up. `is_remote` tells a name
/// that could not be parsed apart from a local login: it goes into Facts::remote_unknown.
///
/// Whoever owns the reverse DNS of an address may own PAM_RHOST (sshd's UseDNS), so an unknown host
/// must never earn a laxer rule than its address would. It is remote, and in no network but those
/// of prefix 0; beyond that a rule that refuses or asks for a proof takes it as inside each of its
/// `from` networks, and a rule that says `access: allow` or `require: none` as inside each of its
/// `not_from` networks.
struct RemoteHost {
    std::optional<Address> address;
    bool is_remote = false;
};
RemoteHost parse_remote_host(const std::string& text);

const char* to_text(Factor factor) noexcept;
const char* to_text(Mode mode) noexcept;
std::optional<Factor> factor_from_text(const std::string& text) noexcept;

} // namespace vigil::policy
