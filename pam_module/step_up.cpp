#include "pam_module/step_up.hpp"

#include "pam_module/blocked.hpp"
#include "pam_module/conversation.hpp"
#include "wire/answer.hpp"
#include "wire/step_up.hpp"

#include <algorithm>
#include <cerrno>

#include <dlfcn.h>
#include <fcntl.h>
#include <syslog.h>
#include <unistd.h>

namespace vigil::pam {

namespace {

constexpr int most_answers = 3;

/// Tells vigil-lock that it was a code, and not the password, that opened the lock.
constexpr const char* factor_note = "VIGIL_FACTOR=totp";

bool has(const std::vector<std::string>& factors, std::string_view factor) {
    return std::ranges::find(factors, factor) != factors.end();
}

/// An answer that was sent. wrong_answer: another one may be given.
Outcome judge(Call& call, const wire::StepUpQuestion& question, std::string_view answer) {
    const auto reply = wire::prove(call.vigild, question, answer);
    if (!reply)
        return unavailable(call, reply.error());
    switch (reply->verdict) {
    case wire::ProveReply::Verdict::accepted:
        return Outcome::granted;
    case wire::ProveReply::Verdict::denied:
        return refuse(call, reply->text);
    case wire::ProveReply::Verdict::wrong:
        if (reply->wait_seconds != 0)
            return refuse(call, wire::wait_text(reply->wait_seconds));
        return Outcome::wrong_answer;
    }
    return Outcome::unavailable;
}

/// Whether somebody could have answered: Ctrl-C and a missing terminal fail in the same way.
bool has_terminal() noexcept {
    return static_cast<bool>(base::UniqueFd{open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)});
}

Outcome ask_for_code(Call& call, const wire::StepUpQuestion& question, const std::string& why,
                     const std::string& person) {
    for (int i = 0; i < most_answers; ++i) {
        const auto answer = ask(call.pam, "Code for " + person + ": ");
        if (!answer && answer.error() == NoAnswer::nobody) {
            // Before the application prints what it makes of our refusal: sudo speaks of a locked
            // account then.
            say_error(call.pam,
                      "vigil: " + why +
                          (has_terminal()
                               ? ", and no code was given."
                               : ", and there is no terminal to ask at: run it from a terminal."));
            return Outcome::cannot_ask;
        }
        const Outcome outcome =
            answer ? judge(call, question, answer->view()) : Outcome::wrong_answer;
        if (outcome != Outcome::wrong_answer)
            return outcome;
        say_error(call.pam, "That code is not right.");
    }
    log(call.pam, LOG_NOTICE, "refused: no right code in " + std::to_string(most_answers));
    return Outcome::refused;
}

/// su's PAM_USER is who one wants to be; the others' is who one is.
bool is_su(std::string_view service) {
    return service == "su" || service == "su-l";
}

Outcome ask_person(Call& call, const wire::StepUpQuestion& question, const wire::AskReply& reply) {
    if (reply.wait_seconds != 0)
        return refuse(call, wire::wait_text(reply.wait_seconds));
    if (!has(reply.factors, "totp") && !has(reply.factors, "recovery"))
        return refuse(call, "vigil: " + reply.text + ", and none that counts can be typed here.");
    return ask_for_code(call, question, reply.text,
                        is_su(call.service_text) ? caller_name(call.pam)
                                                 : question.request.login.user);
}

/// It is asked about the command itself, behind this, and nobody is asked twice. sudo loads what
/// sudo.conf(5) names before it asks PAM, for all to see (dlopen(3): RTLD_GLOBAL), and runs nothing
/// without the plugin's yes.
bool is_sudos_plugin_here(std::string_view service) noexcept {
    return (service == "sudo" || service == "sudo-i") &&
           ::dlsym(RTLD_DEFAULT, "vigil_approval") != nullptr;
}

Outcome decide_step_up(Call& call) {
    const auto user = find_user(call.pam);
    if (!user)
        return user.error();
    // Who one is and who one wants to be: su's PAM_USER is the second.
    for (const uid_t uid : {user->uid, getuid()}) {
        if (const auto reason = blocked(call.pam, call.options.socket, uid))
            return refuse(call, *reason);
    }
    if (is_sudos_plugin_here(call.service_text))
        return Outcome::not_applicable;
    const auto login = gather_login(call.pam, *user);
    if (!login)
        return unavailable(call, login.error());
    const auto process = open_self();
    if (!process)
        return unavailable(call, process.error());
    const wire::StepUpQuestion question{
        .process = process->get(),
        .request = {.purpose = wire::Purpose::step_up,
                    .login = *login,
                    .run_as = is_su(call.service_text) ? login->user : std::string{}},
        .command = {}};
    const auto reply = wire::ask(call.vigild, question);
    if (!reply)
        return unavailable(call, reply.error());
    switch (reply->verdict) {
    case wire::AskReply::Verdict::allowed:
        return Outcome::granted;
    case wire::AskReply::Verdict::not_applicable:
        return Outcome::not_applicable;
    case wire::AskReply::Verdict::denied:
        return refuse(call, reply->text);
    case wire::AskReply::Verdict::prove:
        return ask_person(call, question, *reply);
    }
    return Outcome::unavailable;
}

Outcome ask_at_lock(Call& call, const wire::StepUpQuestion& question, const wire::AskReply& offer) {
    const bool password = has(offer.factors, "password");
    const bool code = has(offer.factors, "totp");
    if (!password && !code)
        return refuse(call, "vigil: nothing that can be typed here opens this lock.");
    const auto answer = ask_authtok(call.pam, password && code ? "Password or code: "
                                              : code           ? "Code: "
                                                               : "Password: ");
    if (!answer && answer.error() == NoAnswer::nobody)
        return Outcome::cannot_ask;
    if (answer && code && wire::is_code(answer->view())) {
        const Outcome outcome = judge(call, question, answer->view());
        // As many digits may be a password as well.
        if (outcome == Outcome::wrong_answer && password)
            return Outcome::next_module;
        return outcome;
    }
    if (answer && password)
        return Outcome::next_module;
    say_error(call.pam, "A code has 6 or 8 digits. A password is not taken at this terminal.");
    return Outcome::wrong_answer;
}

/// Root has nothing to gain by a step-up, and scripts of root's with su in them would end with
/// vigild. The real uid is the caller's in setuid programs; what polkit starts may be root's for
/// anybody.
bool is_root_already(const Call& call) {
    return getuid() == 0 && call.service_text != "polkit-1";
}

} // namespace

Outcome step_up(Call& call) {
    const Outcome outcome = decide_step_up(call);
    if (outcome != Outcome::unavailable)
        return outcome;
    if (is_root_already(call))
        return Outcome::not_applicable;
    if (call.options.unavailable != Options::Unavailable::allow)
        say_error(call.pam, "vigil: vigild cannot be asked whether you may do this, so you may "
                            "not. See: systemctl status vigild");
    return outcome;
}

Outcome unlock(Call& call) {
    const auto user = find_user(call.pam);
    if (!user)
        return user.error();
    const auto login = gather_login(call.pam, *user);
    if (!login)
        return unavailable(call, login.error());
    const auto process = open_self();
    if (!process)
        return unavailable(call, process.error());
    const wire::StepUpQuestion question{
        .process = process->get(),
        .request = {.purpose = wire::Purpose::unlock, .login = *login, .run_as = {}},
        .command = {}};
    const auto reply = wire::ask(call.vigild, question);
    if (!reply)
        return unavailable(call, reply.error());
    if (reply->verdict != wire::AskReply::Verdict::prove)
        return refuse(call, reply->text); // a lock that opens without a proof is none
    if (reply->wait_seconds != 0)
        return refuse(call, wire::wait_text(reply->wait_seconds));
    const Outcome outcome = ask_at_lock(call, question, *reply);
    if (outcome != Outcome::next_module)
        forget_authtok(call.pam);
    if (outcome == Outcome::granted && pam_putenv(call.pam, factor_note) != PAM_SUCCESS)
        return unavailable(call, Error{0, "no memory for the factor's name"});
    return outcome;
}

} // namespace vigil::pam
