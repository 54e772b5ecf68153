#pragma once
// Inside of the machine: what it keeps in memory, and the pieces step() is made of. Private to
// daemon/core.

#include "daemon/core/machine.hpp"
#include "wire/names.hpp"

#include <map>
#include <set>
#include <unordered_map>

namespace vigil::core {

/// A suspend shorter than this is the clocks' own difference.
inline constexpr Microseconds shortest_sleep = Seconds{1};
/// What may be missing from the last input that is known (enforce/activity.hpp).
inline constexpr Microseconds input_lags = Seconds{1};
/// How long a warning's own output can look like the program's.
inline constexpr Microseconds own_output_lasts = Seconds{2};
/// The work is idle below these rates. A thousandth of a processor: sshd needs a third of it to
/// answer a keepalive each second, a compiler takes all of one, and a copy held up by a slow disk
/// ten times as much. What redraws itself every few seconds (top) lies near it and may count.
inline constexpr std::int64_t idle_processor_share = 1000;
/// Both ways together. Keepalives of 52 bytes and their answers each second are 88, from both ends
/// 176; a copy as slow as a telephone line of 1990 is 1700.
inline constexpr std::uint64_t idle_bytes_per_second = 256;
/// What a short time may have in any case: a warning's line, a lock's screen; and two programs that
/// start, with 7 kB each (a loop that waits for a minute has one).
inline constexpr Microseconds idle_processor_least = std::chrono::milliseconds{25};
inline constexpr std::uint64_t idle_bytes_least = 4096;
inline constexpr std::uint64_t idle_moved_least = 16384;
/// After a login without a terminal it is looked what runs there: first, and last, and in between
/// after pauses that grow. sshd starts it a moment after the session, and login scripts take their
/// time.
inline constexpr Microseconds first_class_look = Seconds{1};
inline constexpr Microseconds last_class_look = Seconds{64};
inline constexpr int class_look_growth = 4;
/// An answer of the shell that does not come is asked for again.
inline constexpr Microseconds activity_patience = Seconds{5};
/// Other than a terminal, a desktop is asked and has to answer.
inline constexpr Microseconds desktop_patience = Seconds{10};
/// A desktop that says it is locked is believed after so long: what starts a locker says so when it
/// has started it (xss-lock(1)), and takes it back when the locker could not lock and has ended.
inline constexpr Microseconds desktop_settles = Seconds{1};
inline constexpr Microseconds lock_retry = Seconds{5};
/// After a look at all processes for what locks leave free there is none for so many times as long
/// as it took, and at the most so long. A lock that comes alone has its own at once; of many at one
/// moment those that come in between wait for the next.
inline constexpr int look_rest = 4;
inline constexpr Microseconds longest_look_rest = Seconds{1};
/// The most locks, and users, that one look is for: logins wait for its end.
inline constexpr std::size_t most_looked_for = 128;
inline constexpr std::size_t most_users_looked_for = 16;
inline constexpr Microseconds watch_retry = Seconds{5};
/// Between the account phase and the session: a new password may be asked for. A daemon that uses
/// the stack for its own ends opens none, and lives on.
inline constexpr Microseconds reservation_lasts = std::chrono::minutes{10};
/// How long after a terminal was opened its shell is looked for, first and last; doubled in
/// between.
inline constexpr Microseconds first_newcomer_look = std::chrono::milliseconds{20};
inline constexpr Microseconds last_newcomer_look = std::chrono::milliseconds{1280};
inline constexpr Microseconds unlock_retry = Seconds{1};
/// Between the reason on the terminal and logind's TerminateSession: sshd has to carry it.
inline constexpr Microseconds reason_is_read = std::chrono::milliseconds{200};
/// Between SIGTERM and SIGKILL: editors save what they have.
inline constexpr Microseconds programs_save = Seconds{2};
inline constexpr Microseconds gone_check = std::chrono::milliseconds{200};
inline constexpr Microseconds kill_retry = Seconds{5};
inline constexpr unsigned kills_before_alarm = 6;
inline constexpr Seconds longest_unlock_wait{30};

enum class EndStage : std::uint8_t { announced, terminated, killed };

struct Tracked {
    SessionRecord record;
    policy::SessionDecision decision;
    std::vector<std::string> terminals;
    BootTime last_input{};
    BootTime last_output{};
    /// The work is known to have been idle since; for a session without a terminal its one clock.
    BootTime last_work{};
    std::optional<WorkReading> work_base; ///< what the next reading is compared with
    bool work_was_idle = false;           ///< at the time of `work_base`
    /// Of an elevated session: its login is locked, so nobody can be warned, and what stands still
    /// is not idle.
    bool behind_lock = false;
    bool opened_told = false;                ///< the audit has its beginning
    std::optional<BootTime> work_looked_for; ///< the end before which it was looked at
    std::optional<BootTime> class_look_at;
    Microseconds class_look_pause{0};
    std::optional<BootTime> asked_activity; ///< a ReadActivity is under way since
    std::optional<BootTime> warned_for;     ///< the lock or end that the idle warning was about
    /// Its line stands on the terminals since, and nothing that has to be read was said after it.
    std::optional<BootTime> warned_at;
    /// The lock, idle end and limit that were only observed: each is told once.
    std::optional<BootTime> lock_observed;
    std::optional<BootTime> idle_end_observed;
    std::optional<BootTime> end_observed;
    BootTime said_at{};
    std::optional<BootTime> retry_at;   ///< a Lock, Unlock or stage of the end that is due then
    std::optional<BootTime> answer_by;  ///< its desktop was asked to lock or unlock itself
    std::optional<BootTime> settles_at; ///< its desktop says it is locked: believed then
    /// Programs have its consoles, as was seen last: it is a desktop for as long as that is so.
    bool desktop_at_console = false;
    std::optional<BootTime> watch_at; ///< the leader is to be watched again then
    /// A terminal was opened under the lock: the next look for its shell, and the pause after it.
    std::optional<BootTime> newcomer_at;
    Microseconds newcomer_pause{0};
    /// Of terminals that were asked what they show: until when each may answer, by device.
    std::map<std::uint64_t, BootTime> answers_due;
    std::optional<BootTime> look_at;  ///< what its lock leaves free is to be looked for then
    bool looks_alone = false;         ///< and for no other lock in the same look
    std::vector<Token> prompt_tokens; ///< of prompts that wait for this look
    bool lock_told = false;           ///< the audit has the lock in force
    bool closed_told = false;         ///< and that nothing is left to hold, since it last held some
    std::string failure;              ///< of a Lock or Unlock, told once as long as it is the same
    EndStage end_stage = EndStage::announced;
    unsigned kills = 0;
    bool lock_ordered = false; ///< a Lock is on its way
    /// The lock's first attempt is under way, behind a look of its own at what the session has
    /// (lock_unseen()): where neither finds a terminal there was none to lock.
    bool asked_anew = false;
    std::vector<Token> lock_tokens; ///< of those who wait for its outcome
    Token unlock_token = 0;
    std::vector<Gap> gaps;                ///< of the lock in force, as they were seen last
    std::optional<std::string> gaps_told; ///< those of them that the audit has
    std::optional<BootTime> deadline;     ///< its place in Data::deadlines
};

/// Why something is done to a session.
struct Cause {
    std::string by; ///< "idle for 15 min", "by alice"
    std::string reason = {};
};

/// A dialogue under way, of which more than one proof is wanted.
struct BegunProof {
    StepUpAsked asked; ///< what it was begun for, and counts for
    policy::Factors proved;
    BootTime until{};
};

/// A login was let go on by what it proved; its reservation is asked for next.
struct LoginProof {
    base::Process leader;
    std::uint32_t uid = UINT32_MAX;
    policy::Factors proved;
    BootTime until{};
};

/// Somebody waits for another person's yes.
struct ApprovalRequest {
    struct Answered {
        bool yes = false;
        std::string text; ///< for who asked
    };

    SessionId id;
    StepUpAsked asked;
    std::string reason;
    std::string digest;
    std::optional<std::uint32_t> login_uid;
    WallTime since{};
    BootTime until{};
    Token waiter = 0; ///< 0: not there yet
    std::optional<Answered> answered;
};

struct Rehearsal {
    BootTime since{};
    BootTime until{};
};

/// What is told once a grant is written down, or could not be.
struct PendingGrant {
    SessionId grant;
    Effects stored;
    Effects failed;
};

/// What a grant is bound to beside its session, its user and its purpose.
struct Place {
    std::uint64_t terminal = 0;
    base::Process leader;

    bool operator==(const Place&) const = default;
};

struct Machine::Data {
    policy::Policy policy;
    std::vector<std::string> purposes; ///< how those of grants begin, by the rules of step_up
    std::unordered_map<SessionId, Tracked> sessions;
    std::unordered_map<pid_t, SessionId> by_leader;
    std::unordered_map<std::string, SessionId> by_logind;
    std::unordered_map<std::uint32_t, std::uint32_t> per_user; ///< that count against max_sessions
    std::unordered_map<SessionId, std::vector<SessionId>> elevated; ///< by login, oldest first
    std::size_t elevated_count = 0;
    std::set<std::pair<BootTime, SessionId>> deadlines;
    std::multimap<SessionId, GrantRecord> grants; ///< by session
    std::vector<SessionId> stale_grants; ///< that a crash left in the store; start() erases them
    std::vector<PendingGrant> pending_grants; ///< oldest first
    std::vector<BegunProof> begun_proofs;     ///< oldest first
    std::vector<LoginProof> login_proofs;     ///< oldest first
    std::vector<RememberedLogin> remembered;  ///< oldest first
    std::vector<SessionId> stale_remembered;  ///< as stale_grants
    std::vector<ApprovalRequest> requests;    ///< oldest first
    std::map<std::uint32_t, BlockRecord> blocks;
    std::optional<BootTime> next_block_end;
    /// After a denial, by user.
    std::unordered_map<std::uint32_t, BootTime> asks_again_at;
    Microseconds asleep{0};          ///< as it was when this was last looked at
    std::vector<Token> sleep_tokens; ///< of those who wait to let the machine sleep
    std::set<SessionId> looks_due;   ///< all that have a look_at, and some that had
    BootTime looked_at{};            ///< for what locks leave free
    BootTime next_look{};            ///< not before

    std::optional<Rehearsal> rehearsal;

    bool enforcing() const noexcept {
        return policy.mode == policy::Mode::enforce || rehearsal.has_value();
    }

    // registry.cpp
    Tracked* find(const SessionId& id);
    Tracked* find_leader(const base::Process& leader);
    Tracked& insert(SessionRecord record, const Now& now);
    void erase(const SessionId& id);
    void schedule(Tracked& session);
    void set_policy(policy::Policy next);
    void restore_grant(GrantRecord grant, const Now& now);
    /// Which of the policy's rules gave it; nullopt: none of them.
    std::optional<std::size_t> rule_of(const GrantRecord& grant) const;
    void leave_count(const SessionRecord& record);
    void bind_logind(Tracked& session, const std::string& logind_session);
    policy::SessionDecision decide(const SessionRecord& record, const Now& now) const;
    std::size_t login_count() const noexcept { return sessions.size() - elevated_count; }

    // rehearsal.cpp
    Effects on(const RehearseAsked&, const Now&);
    Effects on(const ObservesByWord&, const Now&);
    Effects on(const RehearsalConfirmed&, const Now&);
    void lapse_rehearsal(const Now& now, Effects& effects);

    // logins.cpp
    Effects on(const ReserveAsked&, const Now&);
    Effects on(const PrepareAsked&, const Now&);
    Effects on(const ConfirmAsked&, const Now&);
    Effects on(const ReleaseAsked&, const Now&);
    Effects on(const SessionFound&, const Now&);
    Effects on(const LeaderGone&, const Now&);
    Effects on(const WatchFailed&, const Now&);
    Effects on(const PolicyChanged&, const Now&);
    /// After another policy, or another mode.
    void decide_anew(const Now& now, Effects& effects);
    void over(Tracked& session, const char* how, Effects& effects);

    // elevated.cpp
    Effects on(const ElevatedAsked&, const Now&);
    Effects on(const ElevatedHeld&, const Now&);
    Effects hold_elevated(const ElevatedAsked& asked, const SessionRecord& login,
                          const policy::SessionDecision& decision, const Now& now);
    const SessionId& joined(const std::vector<SessionId>& ids);
    void elevated_over(Tracked& session, const std::string& how, Effects& effects);
    void see_elevated(Tracked& session, const ActivitySeen& seen, const Now& now, Effects& effects);
    /// Those of a login that is over, or was given back: what is left of them?
    void check_elevated(const SessionId& login, Effects& effects);
    void tell_elevated_of_lock(const Tracked& login);
    /// Whoever opened the lock was there.
    void elevated_given_back(const SessionId& login, const Now& now, Effects& effects);

    // limits.cpp
    Effects on(const TimePassed&, const Now&);
    Effects on(const ActivitySeen&, const Now&);
    void due(Tracked& session, const Now& now, Effects& effects);
    void warn(Tracked& session, std::string line, const std::string& text, const Now& now,
              Effects& effects);
    Effects on(const WarnedTerminalUsed&, const Now&);
    void judge_idle(Tracked& session, const Now& now, Effects& effects);

    // work.cpp
    void note_work(Tracked& session, const ActivitySeen& seen, const Now& now);
    void note_class(Tracked& session, const ActivitySeen& seen, const Now& now, Effects& effects);
    void await_class(Tracked& session, const Now& now);

    // locking.cpp
    Effects wake(const Now&);
    Effects on(const LockAsked&, const Now&);
    Effects on(const LockDone&, const Now&);
    Effects on(const ClientGone&, const Now&);
    Effects on(const TerminalOpened&, const Now&);
    Effects on(const TerminalClosed&, const Now&);
    Effects on(const LockedTerminalUsed&, const Now&);
    void lock(Tracked& session, const Cause& cause, const Now& now, Effects& effects);
    /// One to which no look at the session has led: it has one of its own before it is held.
    void lock_unseen(Tracked& session, const Cause& cause, const Now& now, Effects& effects);
    void hold(Tracked& session, const Cause& cause, const Now& now, Effects& effects);
    void note_failure(Tracked& session, AuditKind kind, const std::string& why, Effects& effects);
    void lock_holds(Tracked& session, const LockDone& outcome, std::vector<Token> tokens,
                    const Now& now, Effects& effects);
    void take_lock_back(Tracked& session, Effects& effects);
    void note_found(Tracked& session, const LockDone& outcome, Effects& effects);
    bool ends_for(Tracked& session, const std::vector<Gap>& gaps, const Now& now, Effects& effects);

    // sleeping.cpp
    Effects on(const SleepAsked&, const Now&);
    /// Answers those who wait once no lock is under way.
    void let_sleep(Effects& effects);

    // looks.cpp
    Effects on(const GapsSeen&, const Now&);
    Effects on(const LookCutShort&, const Now&);
    Effects on(const PromptAsks&, const Now&);
    void want_look(Tracked& session, const Now& now, Effects& effects);
    void look(Tracked& session, const Now& now, Effects& effects);
    void judge_gaps(Tracked& session, const std::vector<Gap>& gaps, const Now& now,
                    Effects& effects);
    void look_ended(const Now& now);
    void look_due(Tracked& session, const Now& now, Effects& effects);

    // unlocking.cpp
    Effects on(const ScreenAsked&, const Now&);
    Effects on(const ScreenSeen&, const Now&);
    Effects on(const UnlockAsked&, const Now&);
    Effects unlock(const UnlockAsked& asked, const Now& now);
    Effects on(const UnlockDone&, const Now&);
    Effects on(const UnlockRefused&, const Now&);
    Effects on(const ThawedByHand&, const Now&);
    /// Takes an unlock back that was begun before its user was blocked.
    bool keep_locked(Tracked& session, const Now& now, Effects& effects);
    void give_back(Tracked& session, const Now& now, Effects& effects);

    // desktop.cpp
    Effects on(const DesktopSeen&, const Now&);
    void found_desktop(Tracked& session, const LockDone& outcome, const Now& now, Effects& effects);
    void lost_desktop(Tracked& session, Effects& effects);
    void desktop_holds(Tracked& session, Effects& effects);
    void desktop_is_open(Tracked& session, AuditKind kind, const std::string& why, const Now& now,
                         Effects& effects);
    void desktop_failed(Tracked& session, const std::string& why, const Now& now, Effects& effects);
    void desktop_due(Tracked& session, const Now& now, Effects& effects);

    // ending.cpp
    Effects on(const TerminateAsked&, const Now&);
    Effects on(const ScopeSeen&, const Now&);
    /// `order`: an operator's own words, which `why` has too.
    void end(Tracked& session, const std::string& why, const Now& now, Effects& effects,
             const std::string& order = {});
    void end_further(Tracked& session, const Now& now, Effects& effects);

    // step_up.cpp
    Effects on(const StepUpAsked&, const Now&);

    // proofs.cpp
    Effects on(const ProofChecked&, const Now&);
    Effects on(const CodeRefused&, const Now&);
    Effects proved(const StepUpAsked& asked, policy::Factor factor, Token token, SessionId fresh_id,
                   const Now& now);
    policy::Factors begun_by(const StepUpAsked& asked, const Now& now) const;
    void begin_proof(const StepUpAsked& asked, policy::Factors proved, const Now& now);
    Effects grant(const StepUpAsked& asked, const policy::StepUpDecision& decision,
                  const Place& place, const std::string& by, Token token, SessionId fresh_id,
                  const Now& now);

    // login_factors.cpp
    Effects ask_at_login(const StepUpAsked& asked, const Now& now);
    Effects proved_at_login(const StepUpAsked& asked, const policy::StepUpDecision& decision,
                            policy::Factors proved, Token token, SessionId fresh_id,
                            const Now& now);
    void note_proof(const StepUpAsked& asked, policy::Factors proved, const Now& now);
    void remember(const StepUpAsked& asked, Seconds time, policy::Factors proved,
                  SessionId fresh_id, const Now& now, Effects& effects);
    const RememberedLogin* find_remembered(const StepUpAsked& asked,
                                           const policy::StepUpDecision& decision,
                                           const Now& now) const;
    /// Why a login cannot go on: the policy asks for a proof, and there is none. nullopt: it can.
    std::optional<std::string> unproved(const policy::SessionDecision& decision,
                                        const policy::Facts& facts, const base::Process& leader,
                                        const Now& now) const;
    void forget_remembered(std::optional<std::uint32_t> uid, const char* why, Effects& effects);

    // requests.cpp
    Effects on(const ApprovalAsked&, const Now&);
    Effects on(const ApprovalAwaited&, const Now&);
    Effects on(const ApprovalAnswered&, const Now&);
    Effects on(const AskerGone&, const Now&);
    ApprovalRequest* find_request(const SessionId& id);
    void erase_request(const SessionId& id, Effects& effects);
    void tell(ApprovalRequest& request, const Now& now, Effects& effects);
    void lapse_requests(const Now& now, Effects& effects);

    void drop_request(const SessionId& id, const char* why, Effects& effects);

    // blocks.cpp
    Effects on(const BlockAsked&, const Now&);
    Effects on(const UnblockAsked&, const Now&);
    std::vector<std::uint32_t> meant(const UnblockAsked& asked, const Now& now) const;
    Effects on(const BlockKept&, const Now&);
    const BlockRecord* find_block(std::uint32_t uid, const Now& now) const;
    std::optional<std::string> why_blocked(std::uint32_t uid, const Now& now) const;
    std::optional<std::string> why_blocked(const StepUpAsked& asked, const Now& now) const;
    std::optional<std::string> why_blocked(const Answerer& by, const Now& now) const;
    void store_blocks(const Now& now, Effects& effects) const;
    void note_block_ends();
    void lapse_blocks(const Now& now, Effects& effects);
    void end_proofs(std::uint32_t uid, Effects& effects);

    // grants.cpp
    Effects on(const GrantStored&, const Now&);
    /// Whose proof counts for this still, at `when`; null: none does.
    GrantRecord* standing(const StepUpAsked& asked, const policy::StepUpDecision& decision,
                          BootTime when);
    Effects use(GrantRecord& grant, Token token);
    Effects on(const RevokeAsked&, const Now&);
    Effects on(const FactorsChanged&, const Now&);
    Effects on(const FactorNews&, const Now&);
    Effects on(const KeyChanged&, const Now&);
    void revoke(const SessionId& session, const char* why, Effects& effects);
    /// All that this person has proved, and all that was proved in sessions of his.
    void revoke_of(std::uint32_t uid, const char* why, Effects& effects);
    void revoke_withdrawn(Effects& effects);
};

/// Whoever stands behind it in any way: by whom it runs, and whose login it is.
bool is_behind(const ApprovalRequest& request, std::uint32_t uid);

// The two answers to whoever waits.
Effect done(Token token);
Effect refused(Token token, const char* error, std::string why);
/// The refusal to whoever asks for a session that is not there, or whose login is not complete.
std::optional<Effect> not_open(const Tracked* session, Token token);

/// Tells whoever waits with this token, if anybody does; nobody waits with it afterwards.
void answer(Token& token, Effects& effects, const char* error = nullptr, std::string why = {});
void answer(std::vector<Token>& tokens, Effects& effects, const char* error = nullptr,
            const std::string& why = {});
/// Its outcome is a LockDone, some events later.
void order_lock(Tracked& session, Effects& effects);

/// Its prompts, which waited for a look, say what is known.
void answer_prompts(Tracked& session, Effects& effects);

/// Whoever still waits for a lock or unlock of a session that is over learns it.
void answer_waiting(Tracked& session, Effects& effects);

/// Whether it locks itself: it was begun as a desktop, or is one at a console now.
inline bool is_desktop(const Tracked& session) noexcept {
    return is_graphical(session.record) || session.desktop_at_console;
}

/// An unlock that was begun comes to nothing.
void stay_locked(Tracked& session, const std::string& why, Effects& effects);

/// Asks its desktop to do what its state says.
void ask_desktop(Tracked& session, const Now& now, Effects& effects);

/// What there is no way to hold at all: nothing of it may look locked.
std::optional<Gap> not_holdable(const SessionRecord& record);

/// The next look for what a terminal that was opened under the lock brings; in the end none.
void look_later(Tracked& session, const Now& now);

/// End warnings that lie behind are not given late, and none is given at once at login.
void skip_past_warnings(Tracked& session, const Now& now);

/// The warning that it is idle has done its work once a key came after it.
void warning_is_over(Tracked& session, BootTime input, Effects& effects);

/// What locked_by says of a session that was locked for idleness.
std::string idle_reason(const policy::SessionDecision& decision);

/// Saturating: a limit beyond a lifetime is none, and its microseconds would not fit.
std::optional<BootTime> after(BootTime from, Seconds limit);

/// "This session", or for an elevated one "What sudo started as root".
std::string title(const SessionRecord& record);

/// An audit line about a session.
Audit audit(AuditKind kind, const Tracked& session, std::string text, std::string reason = {});

/// The moments that limits make for a session; nullopt where there is none.
struct Moments {
    std::optional<BootTime> end;
    std::optional<BootTime> end_warning;
    std::optional<BootTime> idle_warning;
    std::optional<BootTime> lock;
    std::optional<BootTime> class_look;
    std::optional<BootTime> work_look;
    std::optional<BootTime> idle_end;
};

inline bool is_due(const std::optional<BootTime>& at, const Now& now) noexcept {
    return at && *at <= now.boot;
}

/// Whether its end for idleness waits for processor time or bytes.
bool counts_work(const Tracked& session) noexcept;

/// When it was last used or worked, of what the policy counts.
BootTime last_activity(const Tracked& session) noexcept;

/// A stretch shorter than this tells nothing of a rate.
Microseconds shortest_stretch(const Tracked& session) noexcept;

Moments moments(const Tracked& session);

} // namespace vigil::core
