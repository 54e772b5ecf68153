#pragma once
// The proof that the policy may ask for at a login, behind what the stack has asked for itself.

#include "pam_module/call.hpp"

namespace vigil::pam {

/// auth: asks the person, where there is a conversation that can.
Outcome ask_at_login(Call& call);

/// Whether auth of this handle left a proof owing, which could not be asked for there. The account
/// phase then lets nobody in by itself.
bool is_proof_owing(pam_handle_t* pam);

} // namespace vigil::pam
