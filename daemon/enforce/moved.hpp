#pragma once
// What the processes of a session have read and written (proc_pid_io(5)).

#include "daemon/core/records.hpp"
#include "daemon/enforce/helper.hpp"
#include "daemon/enforce/time_budget.hpp"

namespace vigil::enforce {

/// How long an answer is waited for. Usually it takes some 20 µs a process; but on a busy machine
/// one that is given up too early would put off an end. It is as well the most that all answers
/// together take at a time, whoever's they are: logins wait meanwhile, and they have two seconds.
inline constexpr Microseconds moved_patience = std::chrono::seconds{1};
/// Of the time besides one part in so many: whoever has many processes at many busy terminals could
/// have vigild do nothing else.
inline constexpr int moved_share = 5;
/// Nothing is begun that might have less: who misses that is taken for one that hangs.
inline constexpr Microseconds moved_least = moved_patience / 4;
/// What is merely noted leaves as much to what decides whether a session ends: it comes each second
/// for every terminal that is used.
inline constexpr Microseconds moved_kept = moved_patience / 2;
/// After one that did not come nothing is asked of the same user's sessions for so long.
inline constexpr Microseconds moved_rest = std::chrono::minutes{1};
/// As many users may be waited for at a time.
inline constexpr std::size_t max_hung_moved = 64;
/// A session of more processes is not looked through.
inline constexpr std::size_t max_moving = 512;
/// A helper that is asked nothing for so long ends: it is started in a few hundred microseconds.
inline constexpr Microseconds moved_helper_stays = std::chrono::seconds{5};

/// The kernel answers for a process only when an execve(2) of its own is through, and a user can
/// have one stand still for as long as he likes (a file of FUSE's that it closes). So a child asks,
/// which is killed when it takes too long. It is kept for some seconds, because while somebody
/// types it is asked each second.
class MovedReader {
public:
    MovedReader() noexcept;
    MovedReader(const MovedReader&) = delete;
    MovedReader& operator=(const MovedReader&) = delete;

    /// Of all processes of the scope but sshd's own, by pid. `user`: whose doing a wait would be.
    /// `kept`: so much of the time for all answers is left alone. ENOENT: the scope is gone; E2BIG:
    /// more than `max_moving` processes; ETIMEDOUT: it hangs, or did a moment ago; EBUSY: others
    /// have used up the time.
    Result<std::vector<core::ProcessBytes>> read(uid_t user, const std::string& scope, pid_t leader,
                                                 Microseconds kept = Microseconds{0});

private:
    Result<std::vector<core::ProcessBytes>> read_within(Microseconds patience, uid_t user,
                                                        const std::string& scope, pid_t leader);

    Helper helper_;
    HungChildren hung_{max_hung_moved, moved_rest};
    TimeBudget budget_{moved_patience, moved_share};
};

} // namespace vigil::enforce
