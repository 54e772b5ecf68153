#pragma once
// The user database (nsswitch.conf(5)). That there is no such user and that the database could not
// be asked are told apart: who takes the second for the first finds nobody in any group, and a rule
// for a group no longer holds.

#include "base/error.hpp"

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace vigil::base {

struct Account {
    std::string name;
    uid_t uid = static_cast<uid_t>(-1);
    gid_t group = static_cast<gid_t>(-1); ///< the primary one
    std::string home;

    bool operator==(const Account&) const = default;
};

/// nullopt: no such user, as getpwuid_r(3) says it. A directory whose service is stopped can say
/// the same, so nobody is to gain by being nobody.
Result<std::optional<Account>> find_account(uid_t uid);
Result<std::optional<Account>> find_account(const std::string& name);

/// Names of all groups of a user; a group without a name is left out. E2BIG: more than `most`,
/// because a list cut short would let somebody slip past the rule for the group that fell off.
Result<std::vector<std::string>> group_names(const std::string& user, gid_t primary,
                                             std::size_t most);

} // namespace vigil::base
