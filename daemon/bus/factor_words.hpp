#pragma once
// What the methods about factors share: of whom they speak, and how a failure is told.

#include "base/accounts.hpp"
#include "daemon/bus/api.hpp"

namespace vigil::bus {

/// Whom the first argument names; "" is the caller. The table has let others than root name
/// themselves alone, and theirs is the number they called with, whatever the database says now.
Result<base::Account> person_named(const Call& call, const std::string& user);

/// What the factors say, in the words of the bus.
Error as_answer(const Error& error);

inline constexpr const char* enroll_totp_takes =
    "EnrollTotp takes a user, a name, a kind of codes (totp, totp-8, totp-sha256 and the like) and "
    "a code.";

Error too_many_wrong(Seconds wait);

/// Why its owner cannot forget it, and who can.
std::string last_factor_text(const std::string& id);

} // namespace vigil::bus
