#include "wire/dialogue.hpp"

#include "base/console.hpp"
#include "base/pam_stack.hpp"
#include "base/utf8.hpp"
#include "wire/answer.hpp"
#include "wire/names.hpp"
#include "wire/security_key.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

namespace vigil::wire {

namespace {

constexpr int most_wrong_answers = 3;
/// No more proofs than there are kinds of them follow one another.
constexpr int most_proofs = 8;

Proving ended(Proving::End end, std::string why = {}) {
    return {.end = end, .why = std::move(why), .error = {}};
}

Proving refused(std::string why) {
    return ended(Proving::End::refused, std::move(why));
}

Proving unavailable(Error error) {
    return {.end = Proving::End::unavailable, .why = {}, .error = std::move(error)};
}

std::string seconds_text(Microseconds time) {
    return std::to_string(std::chrono::duration_cast<Seconds>(time).count()) + " s";
}

/// One question after another, until vigild is content or nobody answers.
class Dialogue {
public:
    Dialogue(Vigild& vigild, const StepUpQuestion& question, const AskReply& wanted, Person& person)
        : vigild_{vigild}, question_{question}, asks_{wanted.text}, name_{wanted.person},
          person_{person}, factors_{wanted.factors} {}

    Proving run();

private:
    /// nullopt: wrong, or not the last.
    using Step = std::optional<Proving>;

    Step prove_one();
    Step prove_typed(const base::Secret& answer);
    Step prove_password(const base::Secret& answer);
    Step ask_for_approval();
    Step prove_by_key();
    Step without_agent();
    Step no_signature(const Error& error);
    Step key_failed(std::string why);
    Result<std::string> signature_of(const Agent& agent, const AgentKey& key,
                                     const KeyQuestion& asked);
    Step judged(const Result<ProveReply>& reply);
    Step wrong();
    Proving not_answered() const;
    std::string prompt() const;

    bool takes(const char* factor) const {
        return std::ranges::find(factors_, factor) != factors_.end();
    }
    /// For what was typed.
    const char* word() const {
        return !takes("password") ? "code" : takes_codes() ? "answer" : "password";
    }
    bool takes_codes() const { return takes("totp") || takes("recovery"); }

    Vigild& vigild_;
    const StepUpQuestion& question_;
    const std::string asks_; ///< which rule asks
    const std::string name_;
    Person& person_;
    std::vector<std::string> factors_; ///< that are wanted now
    bool key_tried_ = false;
    std::string no_key_; ///< why no security key has proved anything, a sentence
    int wrong_ = 0;
    int right_ = 0;
};

Proving Dialogue::run() {
    while (wrong_ < most_wrong_answers && right_ < most_proofs) {
        if (takes("key") && !std::exchange(key_tried_, true)) {
            if (auto end = prove_by_key())
                return std::move(*end);
            continue;
        }
        if (!takes_codes() && !takes("password") && !takes("approval"))
            return refused(asks_ + ", and none that counts can be given here." +
                           (takes("key") ? " " + no_key_ : ""));
        if (auto end = prove_one())
            return std::move(*end);
    }
    return refused(std::string{"no right "} + word() + " in " + std::to_string(most_wrong_answers) +
                   ".");
}

std::string Dialogue::prompt() const {
    const char* const what = takes_codes() && takes("password") ? "Password or code"
                             : takes_codes()                    ? "Code"
                                                                : "Password";
    return what + (" for " + name_) +
           (takes("approval") ? ", or Enter to ask for an approval: " : ": ");
}

Dialogue::Step Dialogue::prove_one() {
    if (!takes_codes() && !takes("password"))
        return ask_for_approval();
    const auto answer = person_.ask(prompt());
    if (!answer && answer.error() == NoAnswer::nobody)
        return not_answered();
    if (!answer && answer.error() == NoAnswer::empty && takes("approval"))
        return ask_for_approval();
    // What an ssh client answers for whom it has no terminal to ask at.
    if (!answer && answer.error() == NoAnswer::empty && question_.after)
        return not_answered();
    if (answer)
        return prove_typed(*answer);
    return wrong();
}

/// What looks like a code may be a password as well.
Dialogue::Step Dialogue::prove_typed(const base::Secret& answer) {
    const bool looks_like_code = is_code(answer.view()) || recovery_code(answer.view());
    // A program that answers every question with the password, for it knows of no other.
    if (question_.after && !looks_like_code)
        return wrong();
    // No code, and no text that vigild could be sent.
    if (!takes("password") && !base::is_dbus_text(answer.view()))
        return wrong();
    if (!takes("password") || (takes_codes() && looks_like_code)) {
        const auto reply = prove(vigild_, question_, factor_of(answer.view()), answer.view());
        const bool is_wrong = reply && reply->verdict == ProveReply::Verdict::wrong;
        if (!is_wrong || !takes("password"))
            return judged(reply);
    }
    return prove_password(answer);
}

Dialogue::Step Dialogue::prove_password(const base::Secret& answer) {
    const auto outcome = base::ask_pam({.service = reauth_stack,
                                        .user = name_,
                                        .terminal = question_.request.login.terminal,
                                        .directory = {},
                                        .without_delay = false},
                                       answer);
    if (!outcome.accepted && !outcome.text.empty())
        person_.say(outcome.text);
    return judged(vouch(vigild_, question_, outcome.accepted));
}

Dialogue::Step Dialogue::judged(const Result<ProveReply>& reply) {
    if (!reply)
        return unavailable(reply.error());
    switch (reply->verdict) {
    case ProveReply::Verdict::accepted:
        return ended(Proving::End::proved);
    case ProveReply::Verdict::denied:
        return refused(reply->text);
    case ProveReply::Verdict::more:
        ++right_;
        factors_ = reply->factors;
        return std::nullopt;
    case ProveReply::Verdict::wrong:
        break;
    }
    if (reply->wait_seconds != 0)
        return refused(wait_text(reply->wait_seconds));
    return wrong();
}

Dialogue::Step Dialogue::wrong() {
    ++wrong_;
    person_.say(std::string{"That "} + word() + " is not right.");
    return std::nullopt;
}

/// A key that is there is asked for first, for a touch is less than a code. One that is not, or
/// that does not count, leaves the other proofs, and is told where there are none.
Dialogue::Step Dialogue::prove_by_key() {
    no_key_ = "No security key of " + name_ + " is in the ssh agent: put it there with `ssh-add`.";
    const auto agent = person_.agent();
    if (!agent)
        return without_agent();
    const auto held = agent->list();
    if (!held)
        return no_signature(held.error());
    if (held->keys.empty())
        return std::nullopt;
    const auto asked = challenge(vigild_, question_);
    if (!asked && is_down(asked.error()))
        return unavailable(asked.error());
    if (!asked) {
        no_key_ = "vigild gave nothing to sign: " + asked.error().text() + ".";
        return std::nullopt;
    }
    const auto keys = wanted_keys(*held, asked->keys);
    if (keys.empty())
        return std::nullopt;
    const auto answer = signature_of(*agent, keys.front(), *asked);
    if (!answer && answer.error().code == EACCES)
        return key_failed(std::string{"The ssh agent gave no signature: "} + why_not_signed + ".");
    if (!answer && answer.error().code == ETIMEDOUT)
        return key_failed("Nobody touched the security key in " + seconds_text(touch_patience) +
                          ".");
    if (!answer)
        return no_signature(answer.error());
    const auto reply = prove(vigild_, question_, "key", *answer);
    if (!reply || reply->verdict != ProveReply::Verdict::wrong || reply->wait_seconds != 0)
        return judged(reply);
    return key_failed(reply->text);
}

/// It was asked: who is asked for something else now hears why.
Dialogue::Step Dialogue::key_failed(std::string why) {
    no_key_ = std::move(why);
    if (takes_codes() || takes("password") || takes("approval"))
        person_.say(no_key_);
    return std::nullopt;
}

/// polkit's helper is started for whoever answers its agent, and nothing of his environment comes
/// with it.
Dialogue::Step Dialogue::without_agent() {
    no_key_ = question_.request.login.service == "polkit-1"
                  ? "polkit brings no ssh agent to ask for a security key: use sudo or su."
                  : "There is no ssh agent to ask for a security key: bring one with `ssh -A`, or "
                    "set SSH_AUTH_SOCK.";
    return std::nullopt;
}

Dialogue::Step Dialogue::no_signature(const Error& error) {
    if (error.code == ECANCELED)
        return not_answered();
    if (error.code == ENOENT || error.code == ECONNREFUSED)
        return without_agent();
    if (error.code == ETIMEDOUT)
        return key_failed("The ssh agent did not answer in " + seconds_text(agent_patience) + ".");
    no_key_ = "The ssh agent gave no signature: " + error.text() + ".";
    return std::nullopt;
}

Result<std::string> Dialogue::signature_of(const Agent& agent, const AgentKey& key,
                                           const KeyQuestion& asked) {
    person_.say("Touch the security key " + fingerprint_of(key.blob) + " for " + name_ +
                "; Ctrl-C gives up.");
    const auto signature = agent.sign(key.blob, asked.bytes);
    if (!signature)
        return std::unexpected{signature.error()};
    auto text = text_of(KeyAnswer{.blob = key.blob, .signature = *signature});
    if (text.size() > max_answer_bytes)
        return fail(EMSGSIZE, "the key's application has too long a name");
    return text;
}

/// Somebody else says yes or no, while this one waits: Ctrl-C ends it, as it ends sudo and su.
Dialogue::Step Dialogue::ask_for_approval() {
    const auto reason = person_.ask("Reason for the approval: ", Echo::on);
    if (!reason && reason.error() == NoAnswer::nobody)
        return not_answered();
    if (reason && !base::is_dbus_text(reason->view())) {
        ++wrong_;
        person_.say("That reason is no text.");
        return std::nullopt;
    }
    const auto request =
        request_approval(vigild_, question_, reason ? reason->view() : std::string_view{});
    if (!request)
        return unavailable(request.error());
    if (request->id.empty())
        return refused(request->text);
    const auto name = request->id.substr(0, 8);
    person_.say("Waiting " + std::to_string(request->wait_seconds / 60) +
                " min for somebody else's `vigilctl approve " + name + "`; Ctrl-C gives up.");
    const auto reply = await_approval(vigild_.socket(), question_, *request);
    if (!reply && reply.error().code == ECANCELED)
        return not_answered();
    return judged(reply);
}

/// Whether somebody could have answered: Ctrl-C and a missing terminal fail in the same way.
Proving Dialogue::not_answered() const {
    if (question_.after)
        return ended(Proving::End::not_answered, asks_ + ", and no answer was given.");
    return ended(Proving::End::not_answered,
                 asks_ + (base::has_terminal()
                              ? ", and no answer was given."
                              : ", and there is no terminal to ask at: run it from a terminal."));
}

} // namespace

std::expected<base::Secret, NoAnswer> answer_of(const char* typed) {
    const std::size_t size = ::strnlen(typed, max_answer_bytes + 1);
    const std::string_view answer{typed, size};
    const auto is_control = [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 0x20 || byte == 0x7F;
    };
    if (size == 0)
        return std::unexpected{NoAnswer::empty};
    if (size > max_answer_bytes || std::ranges::any_of(answer, is_control))
        return std::unexpected{NoAnswer::unusable};
    return base::Secret{answer};
}

Proving ask_for_proof(Vigild& vigild, const StepUpQuestion& question, const AskReply& wanted,
                      Person& person) {
    if (wanted.wait_seconds != 0)
        return refused(wait_text(wanted.wait_seconds));
    return Dialogue{vigild, question, wanted, person}.run();
}

} // namespace vigil::wire
