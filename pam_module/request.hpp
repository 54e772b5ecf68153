#pragma once
// What vigild is told: from the PAM handle and the kernel, never from the environment.

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "pam_module/outcome.hpp"
#include "wire/messages.hpp"

#include <expected>
#include <string>
#include <string_view>

#include <security/pam_modules.h>
#include <sys/types.h>

namespace vigil::pam {

enum class Service {
    untouched, ///< no login of a person's, or vigil's own; listed in request.cpp
    unlock,    ///< vigil-lock's stack
    step_up,   ///< more privilege in a session that is already there
    login,     ///< everything else
};

Service classify(std::string_view service) noexcept;

/// PAM_SERVICE; empty if there is none.
std::string service_name(pam_handle_t* pam);

struct User {
    std::string name;
    uid_t uid;
    gid_t group;
};

/// PAM_USER as the user database has it, or unknown_user; that too if it cannot be asked.
std::expected<User, Outcome> find_user(pam_handle_t* pam);

/// What PAM knows of who is there, without his groups.
wire::Login describe_login(pam_handle_t* pam, const User& user);

/// What PAM and the user database know of who is logging in. Fails where the database fails, and
/// where the user is in more groups than a request can carry: a list cut short would let somebody
/// slip past the rule for the group that fell off.
Result<wire::Login> gather_login(pam_handle_t* pam, const User& user);

/// Name of the person who runs this process; "uid N" if it has none.
std::string caller_name(pam_handle_t* pam);

/// Root logs in, by a process of root's, from nowhere else, and the kernel has a console as the
/// process's terminal: PAM_TTY is what a program says, and no proof. The way back in.
bool is_root_at_console(pam_handle_t* pam);

/// The process that is, or will be, the session's leader.
Result<base::UniqueFd> open_leader(std::string_view service);

/// Whether this is a child that sshd's monitor forked, so that the session phase will be in another
/// process than this one.
bool is_apart_from_leader(std::string_view service);

/// This process.
Result<base::UniqueFd> open_self();

} // namespace vigil::pam
