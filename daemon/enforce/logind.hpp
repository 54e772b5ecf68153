#pragma once
// logind's view (sd-login(3), org.freedesktop.login1(5)).

#include "base/process.hpp"
#include "base/systemd.hpp"
#include "base/time.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vigil::enforce {

struct LogindSession {
    std::string id;
    std::string user;
    uid_t uid = 0;
    std::string service;
    std::string terminal; ///< "" over ssh on Debian 13
    std::string remote_host;
    std::string type;      ///< tty, x11, wayland, unspecified
    bool is_login = false; ///< by its class: not a user manager's, a greeter's or a cron job's
    base::Process leader;
    std::string scope; ///< cgroup path
    WallTime since{};  ///< from the session's Timestamp
};

/// Whether a session of this Type is a desktop's.
bool is_graphical(std::string_view type) noexcept;

/// All logins that are not closing. From /run/systemd/sessions by sd-login; a
/// session that vanishes meanwhile is left out.
Result<std::vector<LogindSession>> logind_sessions();

/// The session that a cgroup is in, by its path below PID 1's own tree; nullopt: none. Slices, and
/// then logind's scope: what is made further below, by whomever, has no say in it.
std::optional<std::string> session_in_cgroup(std::string_view cgroup);

/// The session a process belongs to. ENXIO/ENODATA: none. As sd_pid_get_session(3), which reads
/// more of /proc, and line by line.
Result<std::string> logind_session_of(pid_t pid);

/// The scope's cgroup of a logind session id that a process belongs to.
Result<LogindSession> logind_session(const std::string& id);

/// TerminateSession, without waiting.
Result<> terminate_session(sd_bus* system_bus, const std::string& id,
                           std::function<void(const std::string&)> on_failure);

} // namespace vigil::enforce
