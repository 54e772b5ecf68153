#include "pam_module/call.hpp"

#include "pam_module/conversation.hpp"

#include <memory>

#include <syslog.h>

namespace vigil::pam {

namespace {

constexpr const char* time_data = "vigil.time_left";

void drop_time(pam_handle_t*, void* data, int) noexcept {
    delete static_cast<Microseconds*>(data);
}

} // namespace

Microseconds time_left(pam_handle_t* pam, Service service) {
    const void* data = nullptr;
    if (service == Service::login && pam_get_data(pam, time_data, &data) == PAM_SUCCESS && data)
        return *static_cast<const Microseconds*>(data);
    return wire::machine_timeout;
}

void note_time_left(Call& call) {
    if (call.service != Service::login)
        return;
    auto left = std::make_unique<Microseconds>(call.vigild.left());
    if (pam_set_data(call.pam, time_data, left.get(), drop_time) == PAM_SUCCESS)
        (void)left.release();
}

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
