#pragma once
// Everything that can happen to the core, as values. The shell gathers facts from the kernel before
// it makes one; the core believes them.

#include "daemon/core/gaps.hpp"
#include "daemon/core/records.hpp"
#include "wire/messages.hpp"

#include <optional>
#include <variant>

namespace vigil::core {

/// Names the caller that waits for a Reply effect. 0: nobody waits.
using Token = std::uint64_t;

// --- the life of a login -----------------------------------------------------------------------

struct ReserveAsked {
    Token token = 0;
    SessionId fresh_id; ///< drawn by the shell
    policy::Facts facts;
    std::string pam_terminal;
    std::string remote_host;
    base::Process leader;
    bool at_console = false; ///< by a process of root's whose terminal the kernel has as a console
};

struct PrepareAsked {
    Token token = 0;
    base::Process leader;
};

struct ConfirmAsked {
    Token token = 0;
    SessionId fresh_id;
    policy::Facts facts;
    std::string pam_terminal;
    std::string remote_host;
    base::Process leader;
    std::string logind_session;
    std::string cgroup;
};

struct ReleaseAsked {
    Token token = 0;
    base::Process leader;
};

/// A session of logind's that the core may not know (start-up). `since` is logind's own time stamp.
struct SessionFound {
    SessionId fresh_id;
    policy::Facts facts;
    std::string pam_terminal;
    std::string remote_host;
    base::Process leader;
    std::string logind_session;
    std::string cgroup;
    BootTime since{};
    WallTime since_wall{};
};

/// sudo, su or pkexec has opened a PAM session in a login, and runs nothing before the answer.
struct ElevatedAsked {
    Token token = 0;
    SessionId fresh_id;
    SessionId login;
    std::string service;
    std::string run_as;
    base::Process leader;
    std::string terminal;  ///< its own: "pts/3"; "": none
    std::string around;    ///< the cgroup that it is to be in: the login's scope, or another's
    std::size_t depth = 0; ///< how many others that one is in, itself among them
};

/// What came of a HoldElevated.
struct ElevatedHeld {
    Token token = 0;
    SessionId session;
    std::string failure; ///< "": it is held
};

struct LeaderGone {
    SessionId session;
};

/// The leader lives, but its end will not be told: the kernel had no descriptor to give.
struct WatchFailed {
    SessionId session;
};

// --- what the shell sees -----------------------------------------------------------------------

/// The answer to ReadActivity, and what a new terminal causes.
struct ActivitySeen {
    SessionId session;
    bool before_lock = false; ///< as it was asked; of what its programs did and are nothing is said
    std::vector<std::string> terminals; ///< "/dev/pts/3"; empty: the session has none
    BootTime last_input{};              ///< never before the true last input
    BootTime last_output{};
    bool held = false; ///< it is frozen as a lock leaves it, whatever the core knows of it
    /// Programs have all its terminals, which are consoles; how it is used a DesktopSeen tells
    /// next.
    bool desktop_at_console = false;
    WorkDone work; ///< as of now, where SessionView::counts_work asks for it
    /// As they were soon after the last input and the last output of its terminals, where somebody
    /// looked then.
    std::optional<WorkReading> work_at_input;
    std::optional<WorkReading> work_at_output;
    /// What runs there, where it has no terminal; nullopt: that could not be seen.
    std::optional<policy::SessionClass> session_class;
};

/// What a desktop's hints are now: the answer to ReadActivity of a session that has one, or news.
struct DesktopSeen {
    SessionId session;
    bool locked = false;
    std::optional<BootTime> idle_since; ///< nullopt: somebody is there
};

/// The session has a terminal that it did not have before.
struct TerminalOpened {
    SessionId session;
};

/// A terminal that the session had is closed; others may be left.
struct TerminalClosed {
    SessionId session;
};

/// Somebody reads from or writes to a terminal of a locked session: the prompt, or what is not
/// held.
struct LockedTerminalUsed {
    SessionId session;
};

/// Keys came at a terminal of a session that is_warned; `input` is the last of them.
struct WarnedTerminalUsed {
    SessionId session;
    BootTime input{};
};

struct TimePassed {};

// --- the lock ----------------------------------------------------------------------------------

struct LockAsked {
    Token token = 0;
    SessionId session;
    std::string by; ///< "by alice"
    std::string reason;
};

/// The machine is about to sleep. Answered when all is held that is locked for it, or cannot be.
struct SleepAsked {
    Token token = 0;
};

/// What came of a Lock effect, or of a LockDesktop that could not be asked.
struct LockDone {
    SessionId session;
    bool held = false;                  ///< something is frozen and every terminal taken
    std::string detail;                 ///< why not, or what is not quite as it should be
    std::vector<std::string> terminals; ///< that it is held at; empty: none were found
    bool unasked = false; ///< not held because there is no prompt; what it asks about is held
    bool escaped = false; ///< somebody has taken a process out that had not been out before
    /// Nothing is held, since programs have all its consoles; a DesktopSeen tells next how it is.
    bool desktop_at_console = false;
    bool by_desktop = false;  ///< of a LockDesktop
    bool no_terminal = false; ///< not held because it has none, and that is no look that failed
};

/// The answer to LookForGaps: those that is_looked_for() is about.
struct GapsSeen {
    SessionId session;
    std::vector<Gap> gaps;
};

/// The other answer: the time of a look for several locks did not suffice for this one, with what
/// its user has running in the others.
struct LookCutShort {
    SessionId session;
};

/// A prompt waits until it is known who reads its terminal, before it draws anything.
struct PromptAsks {
    Token token = 0;
    SessionId session;
};

/// vigil-lock's PAM stack said yes, or an operator.
struct UnlockAsked {
    Token token = 0;
    SessionId session;
    std::string by;     ///< "password at /dev/pts/3", or an operator's name
    std::string reason; ///< an operator's
};

/// The client of a locked session is gone, and its leader may not learn of it: what is frozen holds
/// the connection's descriptors open.
struct ClientGone {
    SessionId session;
};

/// A terminal of a locked session is asked which screen it shows, and its answer comes among the
/// keys.
struct ScreenAsked {
    SessionId session;
    std::uint64_t device = 0;
};

/// It has answered, or will not any more.
struct ScreenSeen {
    SessionId session;
    std::uint64_t device = 0;
};

struct UnlockDone {
    SessionId session;
    bool thawed = false;
    std::string detail;
};

struct UnlockRefused {
    Token token = 0;
    SessionId session;
};

/// root thawed it by hand, with vigild or without.
struct ThawedByHand {
    SessionId session;
    BootTime when{};
};

// --- the end -----------------------------------------------------------------------------------

struct TerminateAsked {
    Token token = 0;
    SessionId session;
    std::string by;
    std::string reason;
};

/// The answer to CheckGone.
struct ScopeSeen {
    SessionId session;
    bool gone = false;
};

// --- step-up -----------------------------------------------------------------------------------

/// Of a proof that a login needs.
struct AtLogin {
    base::Process leader; ///< the session's, once there is one: what is proved is its own
    /// What was shown before: the fingerprint of the ssh key, "password", or "" for neither. As
    /// root's side of PAM has it.
    std::string after;
    std::string host;            ///< PAM_RHOST: for people
    bool is_way_back_in = false; ///< root at a console, who is asked for nothing

    bool operator==(const AtLogin&) const = default;
};

/// One who stands behind a privileged command: the login's user, and who runs it (after `su - bob`
/// both: where one of them is asked for a proof it has to be given, where both are each one's).
struct StepUpAsked {
    Token token = 0;
    base::Process asker;                 ///< a dialogue is its own; pid 0: not known
    std::string directory;               ///< where it runs; "": not known
    std::vector<policy::Facts> subjects; ///< the first is the person whose factor is asked
    policy::StepUpTarget target;
    std::optional<SessionId> session;       ///< nullopt: outside every session, so no grant either
    std::optional<std::uint32_t> login_uid; ///< of who asks (proc(5): loginuid); nullopt: not set
    std::optional<std::uint32_t> becomes;   ///< whose shell su is to open
    std::uint64_t terminal = 0;             ///< device number, 0 none
    /// Who leads the terminal's session (setsid(2)), for numbers of terminals are used again; pid
    /// 0: not known.
    base::Process terminal_leader;
    std::vector<policy::Factor> person_has; ///< what of it can be proved
    bool cannot_check = false; ///< what there is of it is not known: the store or its key is broken
    Seconds wait{0};           ///< throttled until then
    /// It is for a login, and for no command; subjects has who logs in, and nobody else.
    std::optional<AtLogin> login;
    /// polkit asks for his password, so that he can enrol a first factor: he has none to prove.
    bool enrols_first = false;
    /// How much of the time to enrol is over, of who never had a factor and was told that he needs
    /// one; nullopt: of anybody else, or it could not be written down.
    std::optional<Seconds> grace_used;
};

/// The shell has checked a proof with daemon/factors.
struct ProofChecked {
    Token token = 0;
    StepUpAsked request; ///< the same facts, gathered anew
    SessionId fresh_id;
    /// not_taken: judged by nobody, since Machine::takes() says no. untouched: by nobody's hand.
    enum class Outcome {
        wrong,
        accepted,
        throttled,
        unavailable,
        not_taken,
        untouched,
    } outcome = Outcome::wrong;
    std::string factor;
    bool verified = false; ///< of a key: by a PIN or a finger, too
    Seconds wait{0};
    std::uint32_t failures = 0; ///< wrong answers of the person in a row, with this one
};

/// The same of a wrong code where no command waits for it: for another factor.
struct CodeRefused {
    std::uint32_t uid = UINT32_MAX;
    std::string user;
    std::uint32_t failures = 0; ///< in a row, with this one
};

/// Another person's yes is wanted.
struct ApprovalAsked {
    Token token = 0;
    StepUpAsked asked;
    SessionId fresh_id;                     ///< the request's
    std::string reason;                     ///< of who asks, in his words
    std::string digest;                     ///< of all that is shown of it
    std::optional<std::uint32_t> login_uid; ///< whose login it is (proc(5): loginuid)
};

/// Whoever asked waits for the answer.
struct ApprovalAwaited {
    Token token = 0;
    SessionId request;
    base::Process asker;
};

/// One who answers for somebody else, or looks what there is to answer.
struct Answerer {
    policy::Facts person;
    std::optional<std::uint32_t> login_uid; ///< nullopt: not known
};

struct ApprovalAnswered {
    Token token = 0;
    SessionId request;
    std::string digest; ///< of what was seen
    Answerer by;
    bool yes = false;
    std::string reason; ///< of a no
};

/// The process that asked has ended.
struct AskerGone {
    SessionId request;
};

/// What came of a StoreGrant effect.
struct GrantStored {
    SessionId grant;
    bool stored = false;
};

/// A proof is to count no more.
struct RevokeAsked {
    Token token = 0;
    SessionId grant;
    std::string by;
};

/// A factor was added or forgotten.
struct FactorsChanged {
    std::uint32_t uid = UINT32_MAX;
};

/// What was done to somebody's factors, to be told.
struct FactorNews {
    enum class What : std::uint8_t {
        enrolled,
        forgotten,
        ticket_made,
        ticket_used,
        ticket_lapsed,
        key_copied,
    } what = What::enrolled;
    std::uint32_t uid = UINT32_MAX; ///< whose they are
    std::string user;
    std::string text;
};

/// What the factors are sealed under has changed.
struct KeyChanged {
    std::string by;
    std::string text; ///< what was done
};

// --- who is kept out -----------------------------------------------------------------------------

/// Of who is blocked already: with another reason, until another time.
struct BlockAsked {
    Token token = 0;
    std::uint32_t uid = UINT32_MAX;
    std::string user;
    std::string reason;
    std::string by;
    std::optional<Seconds> lasts; ///< nullopt: until somebody takes it back
};

/// By the name he was blocked under, or has now, or his number: he may be gone from the user
/// database.
struct UnblockAsked {
    Token token = 0;
    std::string user; ///< as the operator named him
    std::optional<std::uint32_t>
        uid; ///< who has that name now; nullopt: nobody, as far as is known
    std::string by;
};

/// What came of a StoreBlock or an EraseBlock.
struct BlockKept {
    Token token = 0;
    std::string failure; ///< "": it is written down
};

// --- the rules ----------------------------------------------------------------------------------

struct PolicyChanged {
    policy::Policy policy;
};

/// To enforce for so long a policy that only observes; anew: for so long from now on.
struct RehearseAsked {
    Token token = 0;
    Seconds lasts{};
    std::string by;
};

/// Before the policy enforces for good: whether whoever asks has got in meanwhile.
struct RehearsalConfirmed {
    Token token = 0;
    std::optional<SessionId> session; ///< that he asks from
    bool is_running = true;           ///< as he saw it; one that is over meanwhile is not confirmed
};

/// vigil observes by the kernel's word, whatever the policy says.
struct ObservesByWord {};

using Event =
    std::variant<ReserveAsked, PrepareAsked, ConfirmAsked, ReleaseAsked, SessionFound,
                 ElevatedAsked, ElevatedHeld, LeaderGone, WatchFailed, ActivitySeen, DesktopSeen,
                 TerminalOpened, TerminalClosed, LockedTerminalUsed, WarnedTerminalUsed, ClientGone,
                 TimePassed, LockAsked, SleepAsked, LockDone, GapsSeen, LookCutShort, PromptAsks,
                 ScreenAsked, ScreenSeen, UnlockAsked, UnlockDone, UnlockRefused, ThawedByHand,
                 TerminateAsked, ScopeSeen, StepUpAsked, ProofChecked, CodeRefused, ApprovalAsked,
                 ApprovalAwaited, ApprovalAnswered, AskerGone, GrantStored, RevokeAsked, BlockAsked,
                 UnblockAsked, BlockKept, FactorsChanged, FactorNews, KeyChanged, PolicyChanged,
                 RehearseAsked, RehearsalConfirmed, ObservesByWord>;

} // namespace vigil::core
