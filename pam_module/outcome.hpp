#pragma once
// What an entry point found out, before it is a PAM code. pam_vigil.cpp alone turns one into the
// other, so that the fail table stands in one place.

namespace vigil::pam {

enum class Outcome {
    unavailable,    ///< vigild is down, slow or talks nonsense; or we could not ask it
    refused,        ///< somebody said no; the user has been told why
    unknown_user,   ///< PAM names nobody this machine knows
    cannot_ask,     ///< a proof is needed and there is nobody to ask
    wrong_answer,   ///< asked, and not proven
    not_applicable, ///< enumerated: not ours to judge
    next_module,    ///< unlock: a password, which is for pam_unix to judge
    granted,
};

} // namespace vigil::pam
