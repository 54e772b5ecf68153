#pragma once
// Facts about people and processes, gathered from the kernel and the user database before an event
// is made of them.

#include "daemon/core/records.hpp"
#include "daemon/enforce/logind.hpp"
#include "policy/decide.hpp"
#include "wire/messages.hpp"

namespace vigil::shell {

/// Name and groups of a uid. An error where the user database cannot be asked, and ENOENT for a uid
/// without a name: somebody of whom no group is known must not pass for somebody who is in none.
Result<policy::Facts> facts_of_user(uid_t uid, const std::string& service);

/// uid of a name. wire::code_not_found: no such user.
Result<uid_t> uid_of(const std::string& user);

/// Of a session that is there already: with what is known, and a warning where that is too little.
policy::Facts facts_of(const enforce::LogindSession& session);
policy::Facts facts_of(const wire::Login& login);

/// The same moment on the other clock.
BootTime boot_time_of(WallTime time, const Now& now) noexcept;
WallTime wall_time_of(BootTime time, const Now& now) noexcept;

} // namespace vigil::shell
