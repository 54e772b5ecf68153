#pragma once
// The proof that the policy may ask for at a login, behind what the stack has asked for itself.

#include "pam_module/call.hpp"

namespace vigil::pam {

/// auth: asks the person, where there is a conversation that can.
Outcome ask_at_login(Call& call);

/// Whether auth of this handle left a proof owing, which could not be asked for there. The account
/// phase then lets nobody in by itself.
bool is_proof_owing(pam_handle_t* pam);

/// Whether a rule asks this person for a proof, by the mark that vigild left, and no auth phase of
/// this handle heard from vigild that he needs none, or has brought it, or let him through without
/// one by `unavailable=allow`. For an account phase that cannot ask vigild.
bool has_skipped_proof(const Call& call, const User& user);

} // namespace vigil::pam
