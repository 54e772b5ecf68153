#pragma once
// Whether this host asks vigil at all, and whether there is a way in when it should not have: PAM,
// sshd and sudo, root's password, the key of the factors, the clock. For `vigilctl doctor`.

#include "cli/findings.hpp"

namespace vigil::cli {

inline constexpr const char* way_back_check = "way back";

Finding look_at_pam();
Finding look_at_sshd();
Finding look_at_sudo();
Finding look_at_way_back();
Finding look_at_key();
Finding look_at_clock();

} // namespace vigil::cli
