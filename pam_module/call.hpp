#pragma once
#include "pam_module/options.hpp"
#include "pam_module/outcome.hpp"
#include "pam_module/request.hpp"
#include "wire/vigild.hpp"

#include <string>

#include <security/pam_modules.h>

namespace vigil::pam {

/// One call of one entry point.
struct Call {
    pam_handle_t* pam = nullptr;
    Options options;
    std::string service_text; ///< PAM_SERVICE
    Service service = Service::login;
    wire::Vigild vigild;
    bool could_not_ask = false; ///< set by unavailable()
};

enum class Phase { auth, account, session };

/// What is left of the time that one login may wait for vigild. Its entry points share it, by PAM
/// data: each with its own they would add up. Other calls each have the whole: between two answers
/// at a locked terminal hours may pass.
Microseconds time_left(pam_handle_t* pam, Service service, Phase phase);
/// Before a command whoever could not ask in one phase does not ask in the next.
void note_time_left(Call& call);

/// Logs why vigild could not be asked, as the outcome of that.
Outcome unavailable(Call& call, const Error& error);

/// Whether nothing is to be refused where vigild could not be asked, blocked users neither: as
/// nothing would be if it could (wire/observing.hpp). Logs it.
bool only_observes(const Call& call);

/// Tells the user why not, and logs it.
Outcome refuse(Call& call, const std::string& reason);

} // namespace vigil::pam
