#pragma once
// What vigild knows of a login, and what of it survives a kill -9. Plain values: the core owns them
// in memory, the store writes them down, enforcement reads them.

#include "base/process.hpp"
#include "base/time.hpp"
#include "daemon/core/ids.hpp"
#include "policy/decide.hpp"
#include "wire/screen.hpp"

#include <optional>
#include <string>
#include <vector>

namespace vigil::core {

enum class State : std::uint8_t {
    reserved, ///< the account phase said yes; counts against max_sessions; lapses with its process
    active,
    locked,    ///< written down before the freeze: a crash in between locks again, never forgets
    unlocking, ///< written down before the thaw: a crash in between finishes it, nobody proves
               ///< twice
    ending,
};

struct SessionRecord {
    SessionId id;
    policy::Facts facts;
    std::string pam_terminal; ///< PAM_TTY: for people; terminals are found in the kernel
    std::string remote_host;  ///< PAM_RHOST: for people
    base::Process leader;
    std::string logind_session; ///< "" until confirmed
    std::string cgroup;         ///< of the scope, as in /proc/PID/cgroup; "" until confirmed
    State state = State::reserved;
    BootTime since{};
    WallTime since_wall{};
    BootTime locked_since{};
    WallTime locked_since_wall{};
    std::string locked_by;   ///< "idle for 15 min", "by alice"
    std::string lock_reason; ///< whoever's it was by hand; "": none was given
    std::string unlocked_by; ///< of the last unlock: "password at /dev/pts/3", "root"
    std::string unlock_reason;
    WallTime unlocked_wall{}; ///< the epoch: never
    /// Of the unlock that was begun. Written down with `unlocking`, so that a crash in between does
    /// not lose whose it is. "": what is given back was not locked.
    std::string unlocking_by;
    std::string unlocking_reason;
    std::uint32_t unlock_failures = 0;
    BootTime unlock_not_before{};
    BootTime ending_since{};
    std::string end_reason;
    std::uint32_t end_warnings_given = 0; ///< how many of warn_before_end
    bool desktop_locked = false;          ///< the LockedHint of a desktop, as seen last
    bool adopted = false;                 ///< found in logind, not registered by the module
    /// Of an elevated session: the login that it is in, which may be over before it. Its facts are
    /// the login's but for the service; leader is what opened it; cgroup its own, in the scope.
    std::optional<SessionId> login;
    std::string run_as; ///< of an elevated session

    bool operator==(const SessionRecord&) const = default;
};

/// It has a desktop, which locks itself at logind's word, and no terminal of vigil's.
inline bool is_graphical(const SessionRecord& record) noexcept {
    return record.facts.session_class == policy::SessionClass::graphical;
}

/// What sudo, su or pkexec started in a login: a clock of its own, and no lock.
inline bool is_elevated(const SessionRecord& record) noexcept {
    return record.login.has_value();
}

/// The name of an elevated session's cgroup is this and its id; one in another is in that one's.
inline constexpr const char* elevated_cgroup = "vigil-elevated-";

/// Whether a thaw by hand is of the lock that the session is under, and not of an earlier one.
inline bool undoes(BootTime thawed, const SessionRecord& record) noexcept {
    return thawed >= record.locked_since;
}

/// "by root: end of shift".
std::string with_reason(const std::string& by, const std::string& reason);

/// Wrong answers at one lock, after which no code is taken there: of a million codes three are
/// right at any time, and with 30 s after each guess a day would be worth trying.
inline constexpr std::uint32_t most_guesses = 100;

inline bool takes_codes(const SessionRecord& record) noexcept {
    return record.unlock_failures < most_guesses;
}

/// Why it is locked, or was last.
std::string lock_text(const SessionRecord& record);

/// Who unlocked it last, and how.
std::string unlock_text(const SessionRecord& record);

/// What a process has read and written since it began, and those of its children that it has waited
/// for.
struct ProcessBytes {
    base::Process process;
    pid_t parent = 0;
    std::uint64_t bytes = 0;

    bool operator==(const ProcessBytes&) const = default;
};

/// What a session has done since it began. nullopt: it could not be read, which counts as work.
struct WorkDone {
    std::optional<Microseconds> processor; ///< of all its processes, those that ended too
    std::optional<std::uint64_t> bytes;    ///< over its connection both ways; 0 where it has none
    /// Of its programs, by pid; sshd's own carry what the connection has, and are not among them.
    std::optional<std::vector<ProcessBytes>> moved;

    bool operator==(const WorkDone&) const = default;
};

struct WorkReading {
    BootTime at{};
    WorkDone done;
};

/// A proof that still counts. Bound to all of these at once (invariant 5).
struct GrantRecord {
    SessionId id; ///< random, for revoking
    std::uint32_t uid = UINT32_MAX;
    SessionId session;
    std::uint64_t terminal = 0; ///< device number; 0 where the scope is the session
    base::Process leader; ///< the terminal's (setsid(2)), or where the scope is the session its own
    std::string purpose;  ///< which rule gave it, by its digest, and as whom
    BootTime expires{};
    std::uint32_t uses_left = UINT32_MAX;

    bool operator==(const GrantRecord&) const = default;
};

/// A proof at a login that counts for the next ones, where all of these are the same. It belongs to
/// no session, so it outlives those. A reboot ends it, as it ends every grant.
struct RememberedLogin {
    SessionId id; ///< random, for revoking
    std::uint32_t uid = UINT32_MAX;
    std::string user;
    policy::Address source{};
    std::string host;  ///< the address as PAM had it: for people
    std::string after; ///< see AtLogin::after; never ""
    policy::Factors proved;
    BootTime since{};
    BootTime expires{};

    bool operator==(const RememberedLogin&) const = default;
};

/// Whom an operator keeps out: no login, no step-up, no unlock.
struct BlockRecord {
    std::uint32_t uid = UINT32_MAX;
    std::string user;
    std::string reason;
    std::string by; ///< "root (login of alice)"
    WallTime since{};
    BootTime until = BootTime::max(); ///< max(): until somebody takes it back
    WallTime until_wall{};            ///< the same for people, and behind a reboot

    bool operator==(const BlockRecord&) const = default;
};

/// When the block of another boot is over. Its time goes by the wall clock, and is no longer than
/// it was to last in all, should that have gone back.
BootTime end_after_reboot(const BlockRecord& block, const Now& now);

/// What who is refused for it is told: "alice is blocked on this host until 2026-11-24 09:12: ...".
std::string block_text(const BlockRecord& block, Seconds utc_offset);

using wire::Cursor;
using wire::Screen;

/// A terminal under a lock, as it was before, so that it can be given back after a crash too.
struct SavedTerminal {
    SessionId session;
    std::string path;         ///< "/dev/pts/3"
    std::uint64_t device = 0; ///< st_rdev
    std::string settings;     ///< struct termios, its bytes
    std::uint32_t uid = 0;    ///< the node's owner, group and mode
    std::uint32_t gid = 0;
    std::uint32_t mode = 0;
    /// Number of the virtual console that asks in place of this one; 0: it is asked at itself.
    std::uint32_t lock_console = 0;
    std::uint32_t keyboard_mode = 0; ///< with a lock console: K_UNICODE … (console_ioctl(4))
    Screen screen = Screen::unasked;
    Cursor cursor = Cursor::shown;

    bool operator==(const SavedTerminal&) const = default;
};

} // namespace vigil::core
