#pragma once
// A login, from the account phase to close_session.

#include "pam_module/call.hpp"

namespace vigil::pam {

/// account: asks vigild for a reservation.
Outcome reserve_login(Call& call);

/// session, before pam_systemd: gives systemd the session's absolute limit.
Outcome prepare_session(Call& call);

/// session, after pam_systemd: tells vigild that the session stands.
Outcome confirm_session(Call& call);

/// session of sudo, su and pkexec: has what this process starts watched by a clock of its own, if
/// the policy has one for it. Says nothing to anybody: pkexec aborts where a module does.
Outcome begin_elevated(Call& call);

/// close_session.
Outcome release_session(Call& call);

} // namespace vigil::pam
