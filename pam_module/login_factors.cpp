#include "pam_module/login_factors.hpp"

#include "base/accounts.hpp"
#include "base/base64.hpp"
#include "pam_module/conversation.hpp"
#include "pam_module/proof.hpp"
#include "wire/block_mark.hpp"
#include "wire/login_mark.hpp"
#include "wire/security_key.hpp"
#include "wire/step_up.hpp"

#include <algorithm>
#include <exception>

#include <unistd.h>

namespace vigil::pam {

namespace {

constexpr const char* owing_data = "vigil.proof_owing";
constexpr const char* judged_data = "vigil.login_judged";
/// How sshd has got so far: a line for each method that has succeeded (sshd_config(5):
/// ExposeAuthInfo), in PAM's own environment, which nobody but sshd and root's modules writes.
constexpr const char* ssh_methods = "SSH_AUTH_INFO_0";
/// Keys are shorter, and certificates seldom longer: one that is longer is not remembered.
constexpr std::size_t most_ssh_methods = 64 * 1024;

// What it points to says nothing: that it is there does.
constexpr char is_there = 1;

void note_owing(pam_handle_t* pam) {
    (void)pam_set_data(pam, owing_data, const_cast<char*>(&is_there), nullptr);
}

/// login(1) has one handle for several tries, of several people.
void note_judged(pam_handle_t* pam, bool is_judged) {
    (void)pam_set_data(pam, judged_data, is_judged ? const_cast<char*>(&is_there) : nullptr,
                       nullptr);
}

/// The fingerprint of the first key that sshd has taken; "" for none.
std::string ssh_key(pam_handle_t* pam, std::string_view service) {
    const char* const value = service == "sshd" ? pam_getenv(pam, ssh_methods) : nullptr;
    if (value == nullptr)
        return {};
    std::string_view lines{value};
    if (lines.size() > most_ssh_methods)
        return {};
    constexpr std::string_view method = "publickey ";
    while (!lines.empty()) {
        const auto end = std::min(lines.find('\n'), lines.size());
        auto line = lines.substr(0, end);
        lines.remove_prefix(std::min(end + 1, lines.size()));
        if (!line.starts_with(method))
            continue;
        // "publickey", the kind of key, and its blob.
        line.remove_prefix(method.size());
        const auto space = line.find(' ');
        const auto blob = space == std::string_view::npos
                              ? std::nullopt
                              : base::base64_decode(line.substr(space + 1));
        return blob ? wire::fingerprint_of(*blob) : std::string{};
    }
    return {};
}

bool was_password_taken(pam_handle_t* pam) {
    const void* password = nullptr;
    return pam_get_item(pam, PAM_AUTHTOK, &password) == PAM_SUCCESS && password != nullptr;
}

/// By `password` and by `publickey` alone sshd's conversation asks nobody: it answers with the
/// password, or not at all. Keyboard-interactive it does in a child.
bool can_converse(const Call& call) {
    return call.service_text != "sshd" || is_apart_from_leader(call.service_text);
}

Outcome ask_person(Call& call, const wire::StepUpQuestion& question, const wire::AskReply& reply) {
    if (!can_converse(call)) {
        // Its account phase refuses, with words that reach the client.
        note_owing(call.pam);
        return Outcome::not_applicable;
    }
    return ask_for_proof(call, question, reply);
}

/// Behind a key `after_key` ends the stack; but where sshd has a password to be judged, by its
/// method of that name, what judges it stands below.
Outcome passes(const Call& call) {
    return call.options.after_key && !can_converse(call) ? Outcome::not_applicable
                                                         : Outcome::granted;
}

Outcome decide(Call& call, bool& is_judged) {
    // Before anybody is looked for: a stack that ends here for strangers alone would tell who is
    // one.
    const auto key = ssh_key(call.pam, call.service_text);
    if (call.options.after_key && key.empty())
        return Outcome::not_applicable;
    const auto user = find_user(call.pam);
    if (!user)
        return user.error();
    const auto login = gather_login(call.pam, *user);
    if (!login)
        return unavailable(call, login.error());
    const auto leader = open_leader(call.service_text);
    if (!leader)
        return unavailable(call, leader.error());
    const wire::StepUpQuestion question{
        .process = leader->get(),
        .request = {.purpose = wire::Purpose::login, .login = *login, .run_as = {}},
        .command = std::nullopt,
        .after = !key.empty()                   ? key
                 : was_password_taken(call.pam) ? wire::after_password
                                                : std::string{}};
    const auto reply = wire::ask(call.vigild, question);
    if (!reply)
        return unavailable(call, reply.error());
    switch (reply->verdict) {
    case wire::AskReply::Verdict::allowed:
        is_judged = true;
        return passes(call);
    case wire::AskReply::Verdict::not_applicable:
        is_judged = true;
        // The key has been proved, and nothing is asked for beyond it.
        return call.options.after_key ? passes(call) : Outcome::not_applicable;
    case wire::AskReply::Verdict::denied:
        return refuse(call, reply->text);
    case wire::AskReply::Verdict::prove: {
        const auto outcome = ask_person(call, question, *reply);
        is_judged = outcome == Outcome::granted;
        return outcome;
    }
    }
    return Outcome::unavailable;
}

} // namespace

bool is_proof_owing(pam_handle_t* pam) {
    const void* data = nullptr;
    return pam_get_data(pam, owing_data, &data) == PAM_SUCCESS;
}

bool has_skipped_proof(const Call& call, const User& user) {
    const void* data = nullptr;
    if (pam_get_data(call.pam, judged_data, &data) == PAM_SUCCESS && data != nullptr)
        return false;
    const auto groups = base::group_names(user.name, user.group, wire::max_groups);
    return wire::needs_proof_by_mark(call.options.socket, {.user = user.name,
                                                           .uid = user.uid,
                                                           .groups = groups ? &*groups : nullptr,
                                                           .service = call.service_text});
}

Outcome ask_at_login(Call& call) {
    // A program of somebody's who is in already (a screen's locker, passwd): no login begins there.
    if (getuid() != 0)
        return Outcome::not_applicable;
    // There is always a way back in: who can mend what is wrong here is not kept out by it. What
    // the rules say of him account logs.
    if (is_root_at_console(call.pam))
        return Outcome::not_applicable;
    note_judged(call.pam, false);
    bool is_judged = false;
    Outcome outcome = Outcome::unavailable;
    try {
        outcome = decide(call, is_judged);
    } catch (const std::exception& exception) {
        outcome = unavailable(call, Error{0, exception.what()});
    }
    if (outcome == Outcome::unavailable && only_observes(call)) {
        note_judged(call.pam, true);
        return call.options.after_key ? passes(call) : Outcome::not_applicable;
    }
    // What its own line lets through is not account's to refuse once more.
    note_judged(call.pam, is_judged || (outcome == Outcome::unavailable &&
                                        call.options.unavailable == Options::Unavailable::allow));
    if (outcome != Outcome::unavailable)
        return outcome;
    if (const auto user = find_user(call.pam))
        if (const auto reason = wire::blocked_by_mark(call.options.socket, user->uid))
            return refuse(call, *reason);
    if (call.options.unavailable != Options::Unavailable::allow)
        say_error(call.pam,
                  wire::told_by_vigil("vigild cannot be asked whether this login needs a proof, so "
                                      "nobody is let in. See: systemctl status vigild"));
    return outcome;
}

} // namespace vigil::pam
