#pragma once
// Facts about people and processes, gathered from the kernel and the user database before an event
// is made of them.

#include "daemon/core/records.hpp"
#include "daemon/enforce/logind.hpp"
#include "policy/decide.hpp"
#include "wire/messages.hpp"

namespace vigil::shell {

/// Groups looked at per user; more than any real account has.
inline constexpr int max_groups_of_user = 1024;

/// Name and groups of a uid (getpwuid(3), getgrouplist(3)). A uid without a name has its number.
policy::Facts facts_of_user(uid_t uid, const std::string& service);

/// uid of a name. ENOENT: no such user.
Result<uid_t> uid_of(const std::string& user);

policy::Facts facts_of(const enforce::LogindSession& session);
policy::Facts facts_of(const wire::Login& login);

/// The same moment on the other clock.
BootTime boot_time_of(WallTime time, const Now& now) noexcept;
WallTime wall_time_of(BootTime time, const Now& now) noexcept;

} // namespace vigil::shell
