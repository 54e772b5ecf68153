#pragma once
// Asking the person of a PAM conversation for what vigild wants proved.

#include "pam_module/call.hpp"
#include "wire/step_up.hpp"

namespace vigil::pam {

/// Asks until it is proved, refused or nobody answers; what refuses has been told and logged by
/// then. `reply`: of wire::ask() to this question, with the verdict `prove`.
Outcome ask_for_proof(Call& call, const wire::StepUpQuestion& question,
                      const wire::AskReply& reply);

} // namespace vigil::pam
