#include "pam_module/call.hpp"

#include "pam_module/conversation.hpp"

#include <syslog.h>

namespace vigil::pam {

Outcome unavailable(Call& call, const Error& error) {
    log(call.pam, LOG_WARNING, "vigild cannot be asked: " + error.text());
    return Outcome::unavailable;
}

Outcome refuse(Call& call, const std::string& reason) {
    say_error(call.pam, reason.empty() ? "vigil: refused." : reason);
    log(call.pam, LOG_NOTICE, "refused: " + reason);
    return Outcome::refused;
}

} // namespace vigil::pam
