#pragma once
// The heart: step(event, now) -> effects, and when to be woken next. No clock, file, bus or random
// number is read in here.

#include "base/duration.hpp"
#include "daemon/core/effect.hpp"
#include "policy/policy.hpp"

#include <memory>

namespace vigil::core {

/// More logins than this at one time are refused: the memory a user can make vigild take is
/// bounded.
inline constexpr std::size_t max_sessions_total = 20'000;
/// Elevated sessions of one login, one in another's, and of all logins beside the first of each:
/// what comes beyond has no clock of its own, and is in the last one's cgroup or in that of the one
/// it was started in.
inline constexpr std::size_t max_elevated_per_login = 64;
inline constexpr std::size_t max_elevated_depth = 4;
inline constexpr std::size_t max_elevated_total = 4096;
/// How many sessions one TimePassed is for: to lock one takes milliseconds, and logins wait.
inline constexpr std::size_t most_due_at_once = 8;
/// Grants a session can hold; the oldest goes.
inline constexpr std::size_t max_grants_per_session = 64;
/// Dialogues under way in which one proof is given and another is to follow; the oldest goes.
inline constexpr std::size_t max_begun_proofs = 128;
inline constexpr std::ptrdiff_t max_begun_proofs_per_user = 8;
/// How long a proof waits for those that it is no good without.
inline constexpr Microseconds begun_proof_lasts = std::chrono::minutes{10};
/// Logins that have proved something and are about to be let in; the oldest goes.
inline constexpr std::size_t max_login_proofs = 1024;
/// Sources from which a person is not asked again; the oldest goes.
inline constexpr std::ptrdiff_t max_remembered_per_user = 16;
inline constexpr std::size_t max_remembered = 4096;
/// Requests for an approval that wait at one time.
inline constexpr std::ptrdiff_t max_requests_per_user = 3;
inline constexpr std::size_t max_requests = 64;
inline constexpr Microseconds request_lasts = std::chrono::minutes{5};
/// After a denial, so that nobody is worn down by being asked again and again.
inline constexpr Microseconds request_pause = std::chrono::minutes{1};

/// Users who are blocked at one time.
inline constexpr std::size_t max_blocks = 1024;

/// A session without input and output is looked at this long before its end: what began to work
/// since then shows at the end, however long it was quiet before. Long enough for a few keepalives,
/// short enough that a copy that has just begun stands out.
inline constexpr Microseconds work_window = Seconds{10};

using base::duration_text;

/// What is known of a session for a listing.
struct SessionView {
    const SessionRecord* record = nullptr;
    const policy::SessionDecision* decision = nullptr;
    BootTime last_input{}; ///< without a terminal: its last work
    std::vector<std::string> terminals;
    std::string next_action; ///< "warn", "lock", "terminate", ""
    BootTime next_at{};
    bool counts_work = false; ///< processor time and bytes are asked for
    bool is_desktop = false;  ///< it locks itself at logind's word
    bool is_warned = false;   ///< that it is idle, and no key came since: the next is asked for
    std::vector<Gap>
        gaps; ///< of the lock in force, as they were seen last, or why there can be none
};

/// What is known of a grant that counts, for a listing.
struct GrantView {
    const GrantRecord* record = nullptr;
    const SessionRecord* session = nullptr;
    std::size_t rule = 0; ///< of the policy's step_up, from 1
    std::string run_as;   ///< "*": anybody, where the asker could not know it
};

/// What is known of a request for an approval, for a listing.
struct RequestView {
    const SessionId* id = nullptr;
    const StepUpAsked* asked = nullptr;
    const std::string* reason = nullptr;
    const std::string* digest = nullptr;
    WallTime since{};
    BootTime until{};
    bool own = false; ///< of who looks: not his to answer
};

class Machine {
public:
    /// Starts from what the store had. `start()` then tells what has to be put right.
    Machine(policy::Policy policy, std::vector<SessionRecord> sessions,
            std::vector<GrantRecord> grants, const Now& now);
    ~Machine();
    Machine(Machine&&) noexcept;
    Machine& operator=(Machine&&) noexcept;

    /// Proofs of logins that the store had too; before start().
    void restore(std::vector<RememberedLogin> logins, const Now& now);

    /// Likewise who was blocked; of one who is there twice the first counts.
    void restore(std::vector<BlockRecord> blocks);

    /// Watches for every restored session, locks and thaws what a crash left half done.
    Effects start(const Now& now);

    Effects step(const Event& event, const Now& now);

    /// When TimePassed is wanted; in the past: once more at once, for who is left. nullopt: never.
    std::optional<BootTime> next_deadline() const;

    std::optional<SessionView> view(const SessionId& id) const;
    std::vector<SessionView> list() const;
    /// Whether a proof by this factor would count. What is used up by being judged is not judged
    /// before.
    bool takes(const StepUpAsked& asked, std::string_view factor, const Now& now) const;
    /// Whether what the person could prove makes a difference. Not where nothing is asked for, nor
    /// where a grant stands and will for a second; for that nothing has to be read from the disk.
    bool needs_factors(const StepUpAsked& asked, const Now& now) const;
    /// Whether a rule gives this person time to enrol what it requires, unless it is over: since
    /// when it runs is asked of whoever keeps that, and comes with StepUpAsked.
    bool gives_time_to_enroll(const StepUpAsked& asked, const Now& now) const;
    /// Those whose view is_warned.
    std::vector<SessionId> warned() const;
    std::optional<SessionId> by_logind(const std::string& logind_session) const;
    /// Whether nobody but the session's user has a session at the machine's own screen, as far as
    /// is known.
    bool is_alone_at_consoles(const SessionId& id) const;
    std::size_t grant_count() const noexcept;
    /// One's own, and those one may answer; root is shown all.
    std::vector<RequestView> requests(const Answerer& by, const Now& now) const;
    /// Whether it is worth to look up who asks for it.
    bool has_request(const SessionId& id) const;
    bool has_requests() const noexcept;
    /// Of one user, or of all.
    std::vector<GrantView> grants(std::optional<std::uint32_t> uid, const Now& now) const;
    /// The same of logins that are not asked again.
    std::vector<const RememberedLogin*> remembered(std::optional<std::uint32_t> uid,
                                                   const Now& now) const;
    /// Why he is refused whatever it is that he asks for; nullopt: he is not blocked.
    std::optional<std::string> why_blocked(std::uint32_t uid, const Now& now) const;
    /// The same of all who stand behind a question.
    std::optional<std::string> why_blocked(const StepUpAsked& asked, const Now& now) const;
    /// By their numbers, also where the policy only observes.
    std::vector<const BlockRecord*> blocks(const Now& now) const;
    /// Of a grant, or a login that is not asked again.
    std::optional<std::uint32_t> owner_of_grant(const SessionId& id) const;
    /// The one in force.
    policy::Mode mode() const noexcept;
    /// nullopt: what is in force is the policy's own.
    std::optional<BootTime> rehearsed_until() const noexcept;
    /// Whether any rule is about elevated sessions.
    bool watches_elevated() const noexcept;

private:
    struct Data;
    std::unique_ptr<Data> data_;
};

} // namespace vigil::core
