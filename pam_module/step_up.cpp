#include "pam_module/step_up.hpp"

#include "pam_module/blocked.hpp"
#include "pam_module/conversation.hpp"
#include "wire/codec.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/random.h>
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

std::string wait_text(std::uint64_t seconds) {
    return "Too many wrong answers: try again in " + std::to_string(seconds) + " s.";
}

Result<wire::AskReply> ask_vigild(Call& call, int process, const wire::StepUpRequest& request) {
    const auto reply =
        call.vigild.call(wire::stepup_interface, "Ask", [&](sd_bus_message* message) {
            auto done = wire::append_fd(message, process);
            return done ? wire::append(message, request) : done;
        });
    if (!reply)
        return std::unexpected{reply.error()};
    return wire::read<wire::AskReply>(reply->get());
}

/// Wipes the answer in every case.
struct WipedProof : wire::Proof {
    ~WipedProof() { base::wipe(answer.data(), answer.size()); }
};

Result<wire::ProveReply> prove(Call& call, int process, const wire::StepUpRequest& request,
                               std::string_view answer) {
    WipedProof proof;
    proof.factor = "totp";
    proof.answer = answer;
    if (getrandom(proof.attempt.data(), proof.attempt.size(), 0) !=
        static_cast<ssize_t>(proof.attempt.size()))
        return fail(errno, "drawing random bytes");
    const auto reply =
        call.vigild.call(wire::stepup_interface, "Prove", [&](sd_bus_message* message) {
            auto done = wire::append_fd(message, process);
            if (done)
                done = wire::append(message, request);
            return done ? wire::append(message, static_cast<const wire::Proof&>(proof)) : done;
        });
    if (!reply)
        return std::unexpected{reply.error()};
    return wire::read<wire::ProveReply>(reply->get());
}

/// An answer that was sent. wrong_answer: another one may be given.
Outcome judge(Call& call, int process, const wire::StepUpRequest& request,
              std::string_view answer) {
    const auto reply = prove(call, process, request, answer);
    if (!reply)
        return unavailable(call, reply.error());
    switch (reply->verdict) {
    case wire::ProveReply::Verdict::accepted:
        return Outcome::granted;
    case wire::ProveReply::Verdict::denied:
        return refuse(call, reply->text);
    case wire::ProveReply::Verdict::wrong:
        if (reply->wait_seconds != 0)
            return refuse(call, wait_text(reply->wait_seconds));
        return Outcome::wrong_answer;
    }
    return Outcome::unavailable;
}

/// Whether somebody could have answered: Ctrl-C and a missing terminal fail in the same way.
bool has_terminal() noexcept {
    return static_cast<bool>(base::UniqueFd{open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)});
}

Outcome ask_for_code(Call& call, int process, const wire::StepUpRequest& request,
                     const std::string& person) {
    for (int i = 0; i < most_answers; ++i) {
        const auto answer = ask(call.pam, "Code for " + person + ": ");
        if (!answer && answer.error() == NoAnswer::nobody) {
            // Before the application prints what it makes of our refusal: sudo speaks of a locked
            // account then.
            say_error(call.pam,
                      has_terminal()
                          ? "vigil: this needs a code, and none was given."
                          : "vigil: this needs a code, and there is no terminal to ask at. "
                            "Run it from a terminal.");
            return Outcome::cannot_ask;
        }
        const Outcome outcome =
            answer ? judge(call, process, request, answer->view()) : Outcome::wrong_answer;
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

Outcome ask_person(Call& call, int process, const wire::StepUpRequest& request,
                   const wire::AskReply& reply) {
    if (reply.wait_seconds != 0)
        return refuse(call, wait_text(reply.wait_seconds));
    if (!has(reply.factors, "totp"))
        return refuse(call, "vigil: none of the factors that count here can be asked for here.");
    say_info(call.pam, call.flags, reply.text);
    return ask_for_code(call, process, request,
                        is_su(call.service_text) ? caller_name(call.pam) : request.login.user);
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
    const auto login = gather_login(call.pam, *user);
    if (!login)
        return unavailable(call, login.error());
    const auto process = open_self();
    if (!process)
        return unavailable(call, process.error());
    const wire::StepUpRequest request{.purpose = wire::Purpose::step_up,
                                      .login = *login,
                                      .run_as =
                                          is_su(call.service_text) ? login->user : std::string{}};
    const auto reply = ask_vigild(call, process->get(), request);
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
        return ask_person(call, process->get(), request, *reply);
    }
    return Outcome::unavailable;
}

bool is_code(std::string_view answer) {
    return answer.size() == 6 &&
           std::ranges::all_of(answer, [](char c) { return c >= '0' && c <= '9'; });
}

Outcome ask_at_lock(Call& call, int process, const wire::StepUpRequest& request,
                    const wire::AskReply& offer) {
    const bool password = has(offer.factors, "password");
    const bool code = has(offer.factors, "totp");
    if (!password && !code)
        return refuse(call, "vigil: nothing that can be typed here opens this lock.");
    const auto answer = ask_authtok(call.pam, password && code ? "Password or code: "
                                              : code           ? "Code: "
                                                               : "Password: ");
    if (!answer && answer.error() == NoAnswer::nobody)
        return Outcome::cannot_ask;
    if (answer && code && is_code(answer->view())) {
        const Outcome outcome = judge(call, process, request, answer->view());
        // Six digits may be a password as well.
        if (outcome == Outcome::wrong_answer && password)
            return Outcome::next_module;
        return outcome;
    }
    if (answer && password)
        return Outcome::next_module;
    say_error(call.pam, "A code has six digits. A password is not taken at this terminal.");
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
    const wire::StepUpRequest request{.purpose = wire::Purpose::unlock, .login = *login};
    const auto reply = ask_vigild(call, process->get(), request);
    if (!reply)
        return unavailable(call, reply.error());
    if (reply->verdict != wire::AskReply::Verdict::prove)
        return refuse(call, reply->text); // a lock that opens without a proof is none
    if (reply->wait_seconds != 0)
        return refuse(call, wait_text(reply->wait_seconds));
    const Outcome outcome = ask_at_lock(call, process->get(), request, *reply);
    if (outcome != Outcome::next_module)
        forget_authtok(call.pam);
    if (outcome == Outcome::granted && pam_putenv(call.pam, factor_note) != PAM_SUCCESS)
        return unavailable(call, Error{0, "no memory for the factor's name"});
    return outcome;
}

} // namespace vigil::pam
