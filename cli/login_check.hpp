#pragma once
// Whether those whom the policy asks for a proof at login can be asked: for `vigilctl doctor`.

#include "cli/findings.hpp"
#include "policy/policy.hpp"

#include <functional>

namespace vigil::cli {

/// What is looked at. Of `sshd -T` and the PAM stacks nothing is asked for where no rule is about
/// them.
struct LoginSetUp {
    /// nullopt: no sshd is there.
    std::function<std::optional<Result<std::string>>()> sshd_settings;
    /// Whether a stack has an auth line of pam_vigil.so.
    std::function<bool(const char* service)> has_auth_line;
};

Finding finding_of(const policy::Policy& policy, const LoginSetUp& host);

/// The same of this host, by its policy in force.
Finding look_at_login_factors();

} // namespace vigil::cli
