#include "pam_module/call.hpp"

#include "pam_module/conversation.hpp"
#include "wire/observing.hpp"

#include <memory>

#include <syslog.h>

namespace vigil::pam {

namespace {

constexpr const char* time_data = "vigil.time_left";

/// Where account ran in another process (sshd's keyboard-interactive), its PAM data is lost to the
/// session phase: the time is then shared out beforehand. An account phase that was answered has
/// most likely found vigild up, so this is enough.
constexpr Microseconds apart_session_share = std::chrono::milliseconds{500};

void drop_time(pam_handle_t*, void* data, int) noexcept {
    delete static_cast<Microseconds*>(data);
}

} // namespace

Microseconds time_left(pam_handle_t* pam, Service service, Phase phase) {
    if (service != Service::login && service != Service::step_up)
        return wire::machine_timeout;
    const void* data = nullptr;
    if (pam_get_data(pam, time_data, &data) == PAM_SUCCESS && data)
        return *static_cast<const Microseconds*>(data);
    if (service != Service::login)
        return wire::machine_timeout;
    if (phase == Phase::session)
        return apart_session_share;
    return is_apart_from_leader(service_name(pam)) ? wire::machine_timeout - apart_session_share
                                                   : wire::machine_timeout;
}

void note_time_left(Call& call) {
    const bool gave_up = call.service == Service::step_up && call.could_not_ask;
    if (call.service != Service::login && !gave_up)
        return;
    auto left = std::make_unique<Microseconds>(gave_up ? Microseconds{0} : call.vigild.left());
    if (pam_set_data(call.pam, time_data, left.get(), drop_time) == PAM_SUCCESS)
        (void)left.release();
}

Outcome unavailable(Call& call, const Error& error) {
    call.could_not_ask = true;
    if (!wire::is_down(error) && call.options.unavailable == Options::Unavailable::allow)
        call.options.unavailable = Options::Unavailable::by_table;
    log(call.pam, LOG_WARNING, "vigild cannot be asked: " + error.text());
    return Outcome::unavailable;
}

bool only_observes(const Call& call) {
    if (!wire::observes(call.options.socket))
        return false;
    log(call.pam, LOG_NOTICE, "vigil only observes on this host, so nothing is refused");
    return true;
}

Outcome refuse(Call& call, const std::string& reason) {
    say_error(call.pam, wire::told_by_vigil(reason));
    log(call.pam, LOG_NOTICE, "refused: " + reason);
    return Outcome::refused;
}

} // namespace vigil::pam
