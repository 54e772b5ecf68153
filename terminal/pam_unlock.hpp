#pragma once
// One answer, put before the PAM stack `vigil-unlock` (pam(3)).

#include "base/secret.hpp"

#include <string>

namespace vigil::terminal {

inline constexpr const char* pam_service = "vigil-unlock";

/// What pam_vigil puts into the PAM environment (pam_putenv(3)) when it took a code. PAM has no
/// other way for a module to tell its application how it said yes.
inline constexpr const char* factor_variable = "VIGIL_FACTOR";

struct PamRequest {
    std::string user;
    std::string terminal;  ///< PAM_TTY
    std::string directory; ///< of the stack; "": the system's
};

struct PamOutcome {
    bool accepted = false;
    std::string factor = "password"; ///< what the yes is worth
    std::string text;                ///< what the modules said; from outside, not escaped
};

/// pam_authenticate, then pam_acct_mgmt. The answer is given at every prompt without echo: a stack
/// may ask once a module. Prompts with echo are refused. Anything but success twice is a no.
PamOutcome ask_pam(const PamRequest& request, const base::Secret& answer);

} // namespace vigil::terminal
