#pragma once
// One answer, put before a PAM stack of one's own (pam(3)). In a library of its own: base itself
// does not link libpam.

#include "base/secret.hpp"

#include <string>

namespace vigil::base {

struct PamRequest {
    std::string service; ///< names the stack
    std::string user;
    std::string terminal;  ///< PAM_TTY; "": none
    std::string directory; ///< of the stack; "": the system's
    /// Nobody waits after a wrong answer: who asks makes people wait himself.
    bool without_delay = false;
};

struct PamOutcome {
    bool accepted = false;
    /// What a module of the stack left as NAME=VALUE in the PAM environment for `note`. PAM has no
    /// other way for a module to tell its application how it said yes.
    std::string note;
    std::string text; ///< what the modules said; from outside, not escaped
};

/// pam_authenticate, then pam_acct_mgmt. The answer is given at every prompt without echo: a stack
/// may ask once a module. Prompts with echo are refused. Anything but success twice is a no.
/// `note`: a name in the PAM environment; null: none is wanted.
PamOutcome ask_pam(const PamRequest& request, const Secret& answer, const char* note = nullptr);

} // namespace vigil::base
