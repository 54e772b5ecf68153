#include "pam_module/step_up.hpp"

#include "base/process.hpp"
#include "pam_module/arguments.hpp"
#include "pam_module/conversation.hpp"
#include "pam_module/proof.hpp"
#include "wire/answer.hpp"
#include "wire/block_mark.hpp"
#include "wire/step_up.hpp"

#include <algorithm>
#include <cerrno>

#include <dlfcn.h>
#include <unistd.h>

namespace vigil::pam {

namespace {

/// Tells vigil-lock that it was a code, and not the password, that opened the lock.
const std::string factor_note = std::string{wire::factor_variable} + "=totp";

bool has(const std::vector<std::string>& factors, std::string_view factor) {
    return std::ranges::find(factors, factor) != factors.end();
}

/// An answer that was sent. wrong_answer: another one may be given.
Outcome judge(Call& call, const wire::StepUpQuestion& question, std::string_view answer) {
    const auto reply = wire::prove(call.vigild, question, wire::factor_of(answer), answer);
    if (!reply)
        return unavailable(call, reply.error());
    switch (reply->verdict) {
    case wire::ProveReply::Verdict::accepted:
        return Outcome::granted;
    case wire::ProveReply::Verdict::denied:
    case wire::ProveReply::Verdict::more: // a lock takes one
        return refuse(call, reply->text);
    case wire::ProveReply::Verdict::wrong:
        if (reply->wait_seconds != 0)
            return refuse(call, wire::wait_text(reply->wait_seconds));
        return Outcome::wrong_answer;
    }
    return Outcome::unavailable;
}

/// su's PAM_USER is who one wants to be; the others' is who one is, unless it is root's password
/// that was given.
bool is_su(std::string_view service) {
    return service == "su" || service == "su-l";
}

/// What refuses is told before the application prints what it makes of that: sudo speaks of a
/// locked account then.
Outcome ask_person(Call& call, const wire::StepUpQuestion& question, const wire::AskReply& reply) {
    if (is_to_ask_nobody(call.service_text)) {
        refuse(call, reply.text + ", and with -n nobody is asked: run it without -n, "
                                  "from a terminal.");
        return Outcome::cannot_ask;
    }
    return ask_for_proof(call, question, reply);
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
    if (is_sudos_plugin_here(call.service_text))
        return Outcome::not_applicable;
    const auto login = describe_login(call.pam, *user);
    const auto process = open_self();
    if (!process)
        return unavailable(call, process.error());
    const wire::StepUpQuestion question{
        .process = process->get(),
        .request = {.purpose = wire::Purpose::step_up,
                    .login = login,
                    .run_as = is_su(call.service_text) ? login.user : std::string{}},
        .command = {}};
    const auto reply = wire::ask(call.vigild, question);
    if (!reply)
        return unavailable(call, reply.error());
    switch (reply->verdict) {
    case wire::AskReply::Verdict::allowed:
        if (!reply->factors.empty()) // there is time yet to enrol them
            Person{call.pam}.say(wire::told_by_vigil(reply->text));
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
        return refuse(call, "nothing that can be typed here opens this lock.");
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

/// By a mark, as vigild would have it: who runs this, whose login it is, and whom PAM names. That
/// root becomes a blocked user by su is root's affair.
std::optional<std::string> blocked_by_mark(const Call& call) {
    auto reason = wire::blocked_by_mark_here(call.options.socket, getuid());
    const auto user = find_user(call.pam);
    if (reason || !user || (is_su(call.service_text) && getuid() == 0))
        return reason;
    return wire::blocked_by_mark(call.options.socket, user->uid);
}

} // namespace

Outcome step_up(Call& call) {
    const Outcome outcome = decide_step_up(call);
    if (outcome != Outcome::unavailable)
        return outcome;
    if (only_observes(call))
        return Outcome::not_applicable;
    if (const auto reason = blocked_by_mark(call))
        return refuse(call, *reason);
    if (is_root_already(call))
        return Outcome::not_applicable;
    if (call.options.unavailable != Options::Unavailable::allow)
        say_error(call.pam,
                  wire::told_by_vigil("vigild cannot be asked whether you may do this, so you may "
                                      "not. See: systemctl status vigild"));
    return outcome;
}

Outcome unlock(Call& call) {
    const auto user = find_user(call.pam);
    if (!user)
        return user.error();
    const auto login = describe_login(call.pam, *user);
    const auto process = open_self();
    if (!process)
        return unavailable(call, process.error());
    const wire::StepUpQuestion question{
        .process = process->get(),
        .request = {.purpose = wire::Purpose::unlock, .login = login, .run_as = {}},
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
    if (outcome == Outcome::granted && pam_putenv(call.pam, factor_note.c_str()) != PAM_SUCCESS)
        return unavailable(call, Error{0, "no memory for the factor's name"});
    return outcome;
}

} // namespace vigil::pam
