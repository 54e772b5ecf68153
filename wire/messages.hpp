#pragma once
// Requests and replies as plain structs. codec.hpp turns each into a D-Bus message and back;
// nothing else knows their layout. Times are microseconds of CLOCK_REALTIME since the epoch,
// durations are seconds, `unlimited` stands for no limit.

#include "base/unique_fd.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vigil::wire {

inline constexpr std::uint64_t unlimited = UINT64_MAX;

/// Who is logging in, as PAM has it. Only root may say it (the direct socket checks).
struct Login {
    std::string user; ///< PAM_USER
    std::uint32_t uid = UINT32_MAX;
    std::vector<std::string> groups;
    std::string service;     ///< PAM_SERVICE
    std::string terminal;    ///< PAM_TTY without /dev/; "ssh" from sshd
    std::string remote_host; ///< PAM_RHOST: data, never looked up

    bool operator==(const Login&) const = default;
};

// org.vigil1.Manager.Reserve  in: h leader, Login   out: ReserveReply
//   (account phase)
// org.vigil1.Manager.Prepare  in: h leader          out: t max_seconds
//   (session, before pam_systemd)
// org.vigil1.Manager.Confirm  in: h leader, Login   out: s session id
//   (session, after pam_systemd)
// org.vigil1.Manager.Release  in: h leader          out: -
//   (close_session)
// org.vigil1.Manager.Elevated in: h process, s service, s run_as   out: s session id, or ""
//   (session, of sudo, su and pkexec)
struct ReserveReply {
    enum class Verdict : std::uint32_t {
        refused = 0, ///< `reason` says why, for the user
        reserved = 1,
        not_a_login = 2, ///< the process already runs inside a session (passwd, chsh), or is ours
                         ///< not to count
    };
    Verdict verdict = Verdict::refused;
    std::string reason;
    std::uint64_t max_seconds = unlimited; ///< the session's absolute limit

    bool operator==(const ReserveReply&) const = default;
};

/// What asks for a proof.
enum class Purpose : std::uint32_t {
    step_up = 0, ///< sudo, su, polkit: the account phase
    unlock = 1,  ///< vigil-lock's PAM stack
    login = 2,   ///< sshd, login(1): the auth phase
};

// org.vigil1.StepUp.Ask           in: h process, StepUpRequest                  out: AskReply
// org.vigil1.StepUp.Prove         in: h process, StepUpRequest, Proof           out: ProveReply
// org.vigil1.StepUp.AskCommand    in: h process, StepUpRequest, Command         out: AskReply
// org.vigil1.StepUp.ProveCommand  in: h process, StepUpRequest, Command, Proof  out: ProveReply
// org.vigil1.StepUp.AskLogin      in: h leader, StepUpRequest, s after          out: AskReply
// org.vigil1.StepUp.ProveLogin    in: h leader, StepUpRequest, s after, Proof   out: ProveReply
//   (leader: of the session that is to be; after: what the login has shown before: the fingerprint
//   of an ssh key, after_password, or "" for neither)
struct StepUpRequest {
    Purpose purpose = Purpose::step_up;
    /// As PAM has it: sudo's PAM_USER is the invoking user, su's the target. Its groups are filled
    /// at a login alone.
    Login login;
    std::string run_as; ///< su: PAM_USER; empty where PAM cannot know it (sudo)

    bool operator==(const StepUpRequest&) const = default;
};

/// What sudo is about to run, as the approval plugin has it. Bytes, as the kernel's are. Neither a
/// path nor an edit: it could not be looked at, and may be anything.
struct Command {
    std::string path; ///< see policy::Command, field by field
    std::string named;
    std::string link;
    std::vector<std::string> arguments; ///< max_arguments, and max_arguments_bytes together
    bool edits = false;
    bool settled = false;
    bool cut = false;
    std::string directory; ///< it runs in

    bool operator==(const Command&) const = default;
};

struct AskReply {
    enum class Verdict : std::uint32_t {
        denied = 0,
        allowed = 1,        ///< nothing to prove, or a standing grant
        prove = 2,          ///< one of `factors`
        not_applicable = 3, ///< no rule of the policy speaks of this
    };
    Verdict verdict = Verdict::denied;
    /// One line for the user: why it is denied. Of a proof the rule that asks for it, to go on
    /// from: "rule 2 of step_up asks for a proof".
    std::string text;
    /// To be proved. Of what is allowed: what the person has yet to enrol, and is told by `text`.
    std::vector<std::string> factors;
    std::string person;             ///< whose proof it has to be
    std::uint64_t wait_seconds = 0; ///< throttled: no answer is taken before

    bool operator==(const AskReply&) const = default;
};

struct Proof {
    std::string factor; ///< "totp"
    std::string answer; ///< wiped by whoever held it
    /// Of a password, which vigild never sees: the stack vigil-reauth took it.
    bool vouched = false;
    /// Drawn by the asker for each answer typed: a repeat after a lost connection has the same
    /// outcome, and a code still counts once.
    std::array<std::uint8_t, 16> attempt{};

    bool operator==(const Proof&) const = default;
};

struct ProveReply {
    enum class Verdict : std::uint32_t {
        wrong = 0,
        accepted = 1,
        denied = 2,
        more = 3, ///< it was right, and one of `factors` has to follow
    };
    Verdict verdict = Verdict::wrong;
    std::string text;
    std::vector<std::string> factors;
    std::uint64_t wait_seconds = 0; ///< before the next answer is taken

    bool operator==(const ProveReply&) const = default;
};

// org.vigil1.StepUp.Challenge         in: h process, StepUpRequest           out: KeyQuestion
// org.vigil1.StepUp.ChallengeCommand  in: h process, StepUpRequest, Command  out: KeyQuestion
struct KeyQuestion {
    std::string bytes;             ///< to be signed: bytes_of(Challenge), of challenge.hpp
    std::vector<std::string> keys; ///< public keys that count, as agents have them

    bool operator==(const KeyQuestion&) const = default;
};

// org.vigil1.StepUp.Request         in: h process, StepUpRequest, s reason           out: Requested
// org.vigil1.StepUp.RequestCommand  in: h process, StepUpRequest, Command, s reason  out: Requested
// org.vigil1.StepUp.Await           in: h process, s request id                      out:
// ProveReply
//   (as soon as somebody has answered, or it lapses)
struct Requested {
    std::string id; ///< "": refused, `text` says why
    std::string text;
    std::uint64_t wait_seconds = 0; ///< until it lapses

    bool operator==(const Requested&) const = default;
};

// org.vigil1.Manager.Requests  out: aa{sv}, a Request each: one's own, and those one may answer
// org.vigil1.Manager.Approve   in: s request id, s digest
// org.vigil1.Manager.Deny      in: s request id, s digest, s reason
struct Request {
    std::string id;
    std::string digest; ///< of all that it is about: who answers says what he saw
    std::string user;   ///< who asks
    std::string runner; ///< who runs it, after su(1); "": the user
    std::string host;
    std::string service;
    std::string terminal;             ///< "pts/3"; "": none
    std::string run_as;               ///< "": not known
    std::vector<std::string> command; ///< the program and its arguments; empty: not known
    std::string directory;
    std::string reason;
    std::uint64_t since = 0;
    std::uint64_t until = 0;
    bool own = false; ///< the caller's: shown, and not his to answer

    bool operator==(const Request&) const = default;
};

// org.vigil1.Manager.LockInfo  in: s session, s terminal          out: LockInfo
// org.vigil1.Manager.Unlocked  in: s session, s terminal, s factor  out: -   (PAM said yes)
// org.vigil1.Manager.UnlockFailed in: s session, s terminal       out: t wait_seconds
// org.vigil1.Manager.ScreenSeen in: s session, s terminal, s screen, s cursor  out: -
//   (screen.hpp)
struct LockInfo {
    bool locked = false; ///< false: nothing to ask, the prompt leaves
    std::string user;
    std::string host;
    std::string locked_by; ///< "idle for 15 min", "by alice"
    std::uint64_t locked_since = 0;
    std::uint64_t ends_at = unlimited; ///< wall time of the session's next end
    std::vector<std::string> factors;  ///< "password", "totp": what is taken at THIS terminal
    std::vector<std::string> warnings; ///< e.g. which foreign process holds the terminal
    std::vector<std::string> paused;   ///< "make, 2 h 10 min": the foremost of what stands still
    std::uint64_t paused_more = 0;     ///< programs beyond those
    std::vector<std::string> goes_on;  ///< "make": the foremost of what runs on behind the lock
    std::uint64_t goes_on_more = 0;
    std::uint64_t wait_seconds = 0;
    /// Nothing was drawn there yet: the terminal can be asked what it shows. Said once a lock.
    bool ask_screen = false;
    // Processes that know what kind of terminal it is; 0: none.
    std::uint32_t shell = 0;      ///< leads the session there
    std::uint32_t foreground = 0; ///< leads the process group in the foreground
    // Who ends what stands still when the session is over and no vigild is there to do it.
    std::string held;         ///< the cgroup of what stands still; it may not be there
    std::uint32_t leader = 0; ///< the session is over when it has ended

    bool operator==(const LockInfo&) const = default;
};

// org.vigil1.Manager.List       out: a(Session)
// org.vigil1.Manager.Show       in: s session   out: (Session)
// org.vigil1.Manager.Lock       in: s session, s reason
// org.vigil1.Manager.Unlock     in: s session, s reason
// org.vigil1.Manager.Terminate  in: s session, s reason
// A session is a{sv} on the bus, so that fields can be added.
struct Session {
    std::string id;
    std::string user;
    std::uint32_t uid = UINT32_MAX;
    std::string service;
    std::vector<std::string> terminals; ///< "pts/3"
    std::string remote_host;
    std::string logind_session;
    std::uint32_t leader_pid = 0;
    std::uint64_t since = 0;
    std::uint64_t idle_seconds = 0;
    std::string state;              ///< reserved | active | locked | ending
    bool unlocking = false;         ///< "locked" still, and about to be active
    std::uint64_t locked_since = 0; ///< 0: not locked
    std::string rule;
    std::uint64_t idle_lock = unlimited;
    std::uint64_t idle_terminate = unlimited;
    std::uint64_t max_duration = unlimited;
    std::string next_action; ///< warn | lock | terminate | "" (none)
    std::uint64_t next_at = 0;
    std::string locked_by;          ///< "idle for 15 min", "by root: end of shift"; "": not locked
    std::uint64_t last_lock_at = 0; ///< of the lock in force, or the last; 0: never
    std::string last_lock_by;
    std::uint64_t last_unlock_at = 0;   ///< 0: never
    std::string last_unlock_by;         ///< "by password at /dev/pts/3", "by root: she called"
    std::string desktop;                ///< of a graphical session: locked | unlocked
    std::vector<std::string> uncovered; ///< what a lock of it would not, or does not, hold
    std::vector<std::string> runs_on;   ///< under a lock: what else is to be known of it
    std::string login;                  ///< of an elevated session: the id of the login it is in
    std::string run_as;                 ///< of an elevated session

    bool operator==(const Session&) const = default;
};

// org.vigil1.Manager.Grants     out: aa{sv}, a Grant each
// org.vigil1.Manager.AllGrants  out: the same of everybody, for operators
// org.vigil1.Manager.Revoke     in: s grant id
struct Grant {
    std::string id;
    std::string session; ///< the id
    std::string user;    ///< who proved it
    std::uint32_t uid = UINT32_MAX;
    std::string terminal;   ///< "pts/3"; "": the whole session
    std::uint32_t rule = 0; ///< of the policy's step_up, from 1
    std::string run_as;     ///< "*": anybody
    std::uint64_t expires = 0;
    std::uint64_t uses_left = unlimited;
    // Of a proof at a login, which belongs to no session, terminal or rule of step_up:
    std::string source; ///< not asked again from this address
    std::string after;  ///< with this ssh key ("SHA256:..."), or behind the "password"

    bool operator==(const Grant&) const = default;
};

// org.vigil1.Manager.Block    in: s user, s reason, t seconds, 0 for no end  out: -
// org.vigil1.Manager.Unblock  in: s user, or his number                      out: -
// org.vigil1.Manager.Blocks   out: aa{sv}, a Block each
//   (for root)
struct Block {
    std::uint32_t uid = UINT32_MAX;
    std::string user;
    std::string reason;
    std::string by;
    std::uint64_t since = 0;
    std::uint64_t until = 0; ///< 0: it has no end

    bool operator==(const Block&) const = default;
};

// org.vigil1.Manager.Status  out: a{sv}
struct Status {
    std::string version;
    std::string mode; ///< enforce | observe
    std::string policy_path;
    std::string policy_error; ///< empty: the file on disk is the one in force
    std::uint64_t policy_loaded = 0;
    std::string store_error;   ///< empty: sound
    std::string factors_error; ///< empty: sound; else why no factor can be checked
    std::uint64_t started = 0;
    std::uint32_t sessions = 0;
    std::uint32_t locked = 0;
    std::uint32_t grants = 0;
    bool degraded = false;
    std::uint64_t rehearsed_until = 0; ///< 0: no rehearsal; `mode` is what is in force

    bool operator==(const Status&) const = default;
};

// org.vigil1.Manager.Examine  out: aa{sv}, a Finding each: what vigild itself can do here, in its
// own unit's confinement. Nothing is changed by the look.
struct Finding {
    std::string check;  ///< what was looked at: a word that stays, "console"
    std::string result; ///< a word of grade.hpp
    std::string found;  ///< one line
    std::string mend;   ///< what mends it; "": nothing to mend, or nothing can

    bool operator==(const Finding&) const = default;
};

// org.vigil1.Manager.EnrollTotp    in: s user, s name, s kind, s proof_code  out: Enrollment
//   (pending until proved)
// org.vigil1.Manager.EnrollFinish  in: s factor id, s code           out: -
// org.vigil1.Manager.Factors       in: s user ("" = all, root only)  out: a(Factor)
// org.vigil1.Manager.Forget        in: s factor id, s proof          out: -
// org.vigil1.Manager.MakeTicket    in: s user, t seconds             out: s ticket
// org.vigil1.Manager.RenewRecoveryCodes  in: s user, s proof_code  out: RecoveryCodes
/// One string, and it alone: sd-bus moves a body that grows, and wipes none of the places it
/// leaves.
struct RecoveryCodes {
    std::string lines; ///< as they are shown, each with a '\n' behind it

    bool operator==(const RecoveryCodes&) const = default;
};

struct Enrollment {
    std::string factor_id;
    std::string uri;    ///< otpauth://totp/...
    std::string secret; ///< base32, for typing by hand

    bool operator==(const Enrollment&) const = default;
};

// org.vigil1.Manager.EnrollKey        in: s user, s name, s proof            out: KeyEnrollment
//   (pending until signed)
// org.vigil1.Manager.EnrollKeyFinish  in: s factor id, s key, s signature    out: -
//   (key: a line of a .pub file; signature: base64)
// org.vigil1.Manager.KeyChallenge     in: s user                             out: KeyChallenge
//   (what a key signs to be the `proof` of one who has it: security_key.hpp, text_of())

/// What a key is to sign: challenge.hpp, with Purpose::enroll.
struct KeyEnrollment {
    std::string factor_id;
    std::string host;
    std::string user;
    std::array<std::uint8_t, 32> nonce{};

    bool operator==(const KeyEnrollment&) const = default;
};

/// The same with Purpose::manage; and fingerprints of the keys that count.
struct KeyChallenge {
    std::string host;
    std::string user;
    std::array<std::uint8_t, 32> nonce{};
    std::vector<std::string> keys; ///< none: nothing can be proved by a key

    bool operator==(const KeyChallenge&) const = default;
};

struct Factor {
    std::string id;
    std::string user;
    std::uint32_t uid = UINT32_MAX;
    std::string kind; ///< "totp"
    std::string name;
    std::uint64_t created = 0;
    std::uint64_t last_used = 0; ///< 0: never
    bool active = false;

    bool operator==(const Factor&) const = default;
};

// org.vigil1.Manager.Reload  out: s error ("" = loaded)
// org.vigil1.Manager.Rehearse          in: t seconds  out: -
// org.vigil1.Manager.ConfirmRehearsal  out: - ; without a rehearsal too

} // namespace vigil::wire
