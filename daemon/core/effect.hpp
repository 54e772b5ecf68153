#pragma once
// What the core wants done, in this order, by a shell that decides nothing. A Store stands before
// the Reply it belongs to: state is written before the answer is sent.

#include "daemon/core/event.hpp"

namespace vigil::core {

struct StoreSession {
    SessionRecord record;
};
struct EraseSession {
    SessionId id;
};
/// Answer with GrantStored: whoever waits is told after it.
struct StoreGrant {
    GrantRecord record;
};
struct EraseGrant {
    SessionId id;
};
struct StoreRemembered {
    RememberedLogin record;
};
struct EraseRemembered {
    SessionId id;
};

/// In the state, in the copy that outlives a reboot, and as a mark for those who cannot ask vigild.
/// Answer with BlockKept. Idempotent.
struct StoreBlock {
    Token token = 0;
    BlockRecord record;
    Seconds utc_offset{0}; ///< of the time that who is refused is told (block_text())
    bool marked = true;    ///< false: there is to be no mark
};
struct EraseBlock {
    Token token = 0;
    std::uint32_t uid = UINT32_MAX;
};
/// Nobody else has a mark.
struct KeepMarks {
    std::vector<std::uint32_t> uids;
};

/// Watch the leader's end (pidfd), for new terminals of its user, and the hints of a desktop, from
/// now on. Idempotent.
struct Watch {
    SessionId session;
};
/// Move the process into the elevated session's cgroup, so that all that it starts is in there.
/// Answer with ElevatedHeld. Idempotent.
struct HoldElevated {
    Token token = 0;
    SessionId session;
    base::Process process;
};
/// Stop all watching; take down prompts and what is left in the file system.
struct Forget {
    SessionId session;
};

/// Answer with ActivitySeen, for a graphical session with DesktopSeen, and with both where a
/// program has the console.
struct ReadActivity {
    SessionId session;
    /// A lock waits for it, and many may in front of a sleep: nothing is looked for but how its
    /// terminals were used. What its programs have done can take a second to learn, if their user
    /// likes.
    bool before_lock = false;
};

/// A line for every terminal of the session, from vigil. The last one before the end also leaves
/// whatever full-screen program was there, so that it can be read.
struct Say {
    SessionId session;
    std::string line;
    bool last = false;
};

/// A line of Say's goes from the terminals where a program draws the whole screen: it draws anew.
struct WipeLine {
    SessionId session;
};

/// Hold the session and ask at its terminals. Answer with LockDone. Idempotent.
struct Lock {
    SessionId session;
};
/// Have the desktop of a session lock itself; unlock itself. It answers by DesktopSeen; where it
/// cannot be asked, the answer is LockDone or UnlockDone.
struct LockDesktop {
    SessionId session;
};
struct UnlockDesktop {
    SessionId session;
};
/// A desktop that is gone had said that it is locked; the next one has not.
struct ForgetHint {
    SessionId session;
};
/// Look for what these locks in force leave free, who reads their terminals by one look at all
/// processes. Answer with GapsSeen for each, or with LookCutShort.
struct LookForGaps {
    std::vector<SessionId> sessions;
};
/// What its prompts say has changed: others take their places, and ask anew.
struct RenewPrompts {
    SessionId session;
};
/// Give it back. Answer with UnlockDone. Idempotent.
struct Unlock {
    SessionId session;
};
/// SIGKILL for what is frozen; the rest of the session lives. The machine may have forgotten the
/// session by the time this is done, so it says itself where to look.
struct KillFrozen {
    SessionId session;
    std::string cgroup;        ///< of the scope; "" if it never had one
    bool stays_locked = false; ///< its connection goes on, and may start nothing as before
};
/// logind's TerminateSession; of an elevated session, signals to all that is in it but to sudo or
/// su itself, which gives the terminal back when what it has started is gone.
struct Terminate {
    SessionId session;
};
/// SIGKILL for everything in the scope, or of an elevated session in its cgroup.
struct KillScope {
    SessionId session;
};
/// Answer with ScopeSeen.
struct CheckGone {
    SessionId session;
};

enum class AuditKind : std::uint8_t {
    login_reserved,
    login_refused,
    login_let_in, ///< root at a console, whom the policy or a limit would have refused
    break_glass,  ///< another way back in is in use: the kernel's word, or a thaw by hand
    session_opened,
    session_adopted,
    session_closed,
    session_warned,
    session_locked,
    lock_failed,
    lock_gaps,
    terminals_closed,
    session_unlocked,
    unlock_failed,
    session_ending,
    end_failed,
    elevated_opened,
    elevated_warned,
    elevated_ending,
    elevated_over,
    step_up_asked,
    step_up_granted,
    step_up_refused,
    codes_guessed, ///< so many wrong ones in a row that somebody has to look
    approval_asked,
    approval_answered,
    approval_lapsed,
    grant_revoked,
    user_blocked,
    user_unblocked,
    block_expired,
    factors_rekeyed,
    factor_enrolled,
    factor_forgotten,
    ticket_made,
    ticket_used,
    ticket_lapsed,
    key_copied, ///< its counter went back: there may be two of it
    policy_loaded,
    rehearsal_begun,
    rehearsal_over,
};

/// Whether the process that wants an approval is still there: AskerGone.
struct WatchAsker {
    SessionId request;
    base::Process asker;
};
struct ForgetAsker {
    SessionId request;
};

/// One line of what happened and why, for the journal (and later the audit's chain).
struct Audit {
    AuditKind kind{};
    std::optional<SessionId> session;
    std::string user;
    std::uint32_t uid = UINT32_MAX;
    std::string service;
    std::string rule;
    std::string text;   ///< one line for a person; unescaped: the sink escapes
    std::string reason; ///< that an operator gave, in his words; the text has it too
};

struct ReplyReserve {
    Token token = 0;
    wire::ReserveReply reply;
};
struct ReplyLimit {
    Token token = 0;
    std::uint64_t max_seconds = wire::unlimited;
};
struct ReplyAsk {
    Token token = 0;
    wire::AskReply reply;
};
struct ReplyProve {
    Token token = 0;
    wire::ProveReply reply;
};
struct ReplyRequested {
    Token token = 0;
    wire::Requested reply;
};
struct ReplyWait {
    Token token = 0;
    std::uint64_t seconds = 0;
};
struct ReplyId {
    Token token = 0;
    std::string id;
};
/// A plain yes (`error` null) or a named D-Bus error with its line.
struct ReplyDone {
    Token token = 0;
    const char* error = nullptr;
    std::string text;
};

using Effect =
    std::variant<StoreSession, EraseSession, StoreGrant, EraseGrant, StoreRemembered,
                 EraseRemembered, StoreBlock, EraseBlock, KeepMarks, Watch, HoldElevated, Forget,
                 ReadActivity, Say, WipeLine, Lock, LockDesktop, UnlockDesktop, ForgetHint,
                 LookForGaps, RenewPrompts, Unlock, KillFrozen, Terminate, KillScope, CheckGone,
                 WatchAsker, ForgetAsker, Audit, ReplyReserve, ReplyLimit, ReplyAsk, ReplyProve,
                 ReplyRequested, ReplyWait, ReplyId, ReplyDone>;
using Effects = std::vector<Effect>;

} // namespace vigil::core
