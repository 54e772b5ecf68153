// The entry points, and the one place where an outcome becomes a PAM code. Every function below is
// a row of the fail table; each code is assigned by name, and none begins as a yes.

#include "pam_module/conversation.hpp"
#include "pam_module/login.hpp"
#include "pam_module/login_factors.hpp"
#include "pam_module/step_up.hpp"

#include <exception>

#include <security/pam_modules.h>
#include <syslog.h>

namespace vigil::pam {

namespace {

using Unavailable = Options::Unavailable;

int login_code(Outcome outcome, const Options& options) {
    switch (outcome) {
    case Outcome::granted:
        return PAM_SUCCESS;
    case Outcome::not_applicable:
        return PAM_IGNORE;
    case Outcome::unavailable:
        return options.unavailable == Unavailable::deny ? PAM_AUTHINFO_UNAVAIL : PAM_IGNORE;
    case Outcome::unknown_user:
        return PAM_USER_UNKNOWN;
    case Outcome::refused:
    case Outcome::cannot_ask:
    case Outcome::wrong_answer:
    case Outcome::next_module:
        return PAM_PERM_DENIED;
    }
    return PAM_SERVICE_ERR;
}

int step_up_code(Outcome outcome, const Options& options) {
    switch (outcome) {
    case Outcome::granted:
        return PAM_SUCCESS;
    case Outcome::not_applicable:
        return PAM_IGNORE;
    case Outcome::unavailable:
        return options.unavailable == Unavailable::allow ? PAM_IGNORE : PAM_AUTHINFO_UNAVAIL;
    case Outcome::unknown_user:
        return PAM_USER_UNKNOWN;
    case Outcome::refused:
    case Outcome::cannot_ask:
    case Outcome::wrong_answer:
    case Outcome::next_module:
        return PAM_PERM_DENIED;
    }
    return PAM_SERVICE_ERR;
}

int unlock_code(Outcome outcome, const Options&) {
    switch (outcome) {
    case Outcome::granted:
        return PAM_SUCCESS;
    case Outcome::next_module:
        return PAM_IGNORE;
    case Outcome::unavailable:
        return PAM_AUTHINFO_UNAVAIL;
    case Outcome::unknown_user:
        return PAM_USER_UNKNOWN;
    case Outcome::refused:
    case Outcome::cannot_ask:
    case Outcome::wrong_answer:
    case Outcome::not_applicable:
        return PAM_AUTH_ERR;
    }
    return PAM_SERVICE_ERR;
}

/// MAXTRIES ends it: sshd and login(1) begin no further round of questions then, each of which
/// would end with the same line.
int login_auth_code(Outcome outcome, const Options& options) {
    switch (outcome) {
    case Outcome::granted:
        return PAM_SUCCESS;
    case Outcome::not_applicable:
        return PAM_IGNORE;
    case Outcome::unavailable:
        return options.unavailable == Unavailable::allow ? PAM_IGNORE : PAM_MAXTRIES;
    case Outcome::unknown_user:
        return PAM_USER_UNKNOWN;
    case Outcome::refused:
    case Outcome::cannot_ask:
        return PAM_MAXTRIES;
    case Outcome::wrong_answer:
    case Outcome::next_module:
        return PAM_AUTH_ERR;
    }
    return PAM_SERVICE_ERR;
}

/// Refusing here leaves half a session behind in more than one program; vigild adopts what it was
/// not told of.
int open_code(Outcome outcome, const Options&) {
    switch (outcome) {
    case Outcome::granted:
        return PAM_SUCCESS;
    case Outcome::unavailable:
    case Outcome::unknown_user:
    case Outcome::refused:
    case Outcome::cannot_ask:
    case Outcome::wrong_answer:
    case Outcome::not_applicable:
    case Outcome::next_module:
        return PAM_IGNORE;
    }
    return PAM_SERVICE_ERR;
}

int close_code(Outcome, const Options&) {
    return PAM_SUCCESS;
}

/// Does `work` and turns what comes of it, an exception too, into a code.
template <typename Work, typename Code>
int run(pam_handle_t* pam, int argc, const char** argv, Phase phase, Work work,
        Code code) noexcept {
    try {
        Options options = parse_options(argc, argv);
        for (const std::string& argument : options.unknown)
            log(pam, LOG_ERR, "argument not understood, and without effect: " + argument);
        std::string service = service_name(pam);
        const Service kind = classify(service);
        Call call{.pam = pam,
                  .options = options,
                  .service_text = std::move(service),
                  .service = kind,
                  .vigild = wire::Vigild{options.socket, time_left(pam, kind, phase)}};
        Outcome outcome = Outcome::unavailable;
        try {
            outcome = work(call);
        } catch (const std::exception& exception) {
            outcome = unavailable(call, Error{0, exception.what()});
        }
        note_time_left(call);
        const int result = code(outcome, call.options);
        if (call.options.debug)
            log(pam, LOG_DEBUG, "answer: " + std::to_string(result));
        return result;
    } catch (...) {
        // No memory for the least thing: what the table says with no argument given.
        return code(Outcome::unavailable, Options{});
    }
}

Outcome authenticate(Call& call) {
    switch (call.service) {
    case Service::untouched:
    case Service::step_up: // it stands in account, which a cached ticket does not skip
        return Outcome::not_applicable;
    case Service::unlock:
        return unlock(call);
    case Service::login:
        return ask_at_login(call);
    }
    return Outcome::unavailable;
}

Outcome account(Call& call) {
    switch (call.service) {
    case Service::untouched:
    case Service::unlock:
        return Outcome::not_applicable;
    case Service::step_up:
        return step_up(call);
    case Service::login:
        return reserve_login(call);
    }
    return Outcome::unavailable;
}

Outcome open_session(Call& call) {
    if (call.options.elevated)
        return call.service == Service::step_up ? begin_elevated(call) : Outcome::not_applicable;
    if (call.service != Service::login)
        return Outcome::not_applicable;
    return call.options.prepare ? prepare_session(call) : confirm_session(call);
}

Outcome close_session(Call& call) {
    // The `prepare` line has nothing to give back; what is elevated ends with its last process.
    if (call.service != Service::login || call.options.prepare || call.options.elevated)
        return Outcome::not_applicable;
    return release_session(call);
}

bool is_service(pam_handle_t* pam, Service service) noexcept {
    const void* name = nullptr;
    return pam_get_item(pam, PAM_SERVICE, &name) == PAM_SUCCESS && name &&
           classify(static_cast<const char*>(name)) == service;
}

} // namespace

} // namespace vigil::pam

#pragma GCC visibility push(default)
extern "C" {

int pam_sm_authenticate(pam_handle_t* pam, int, int argc, const char** argv) noexcept {
    using namespace vigil::pam;
    return run(pam, argc, argv, Phase::auth, authenticate,
               is_service(pam, Service::unlock) ? unlock_code : login_auth_code);
}

int pam_sm_setcred(pam_handle_t*, int, int, const char**) noexcept {
    return PAM_SUCCESS;
}

int pam_sm_acct_mgmt(pam_handle_t* pam, int, int argc, const char** argv) noexcept {
    using namespace vigil::pam;
    return run(pam, argc, argv, Phase::account, account,
               is_service(pam, Service::step_up) ? step_up_code : login_code);
}

int pam_sm_open_session(pam_handle_t* pam, int, int argc, const char** argv) noexcept {
    using namespace vigil::pam;
    return run(pam, argc, argv, Phase::session, open_session, open_code);
}

int pam_sm_close_session(pam_handle_t* pam, int, int argc, const char** argv) noexcept {
    using namespace vigil::pam;
    return run(pam, argc, argv, Phase::session, close_session, close_code);
}
}
#pragma GCC visibility pop
