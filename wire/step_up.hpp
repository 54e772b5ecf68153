#pragma once
// org.vigil1.StepUp, as it is asked by the module and by sudo's plugin.

#include "wire/messages.hpp"
#include "wire/vigild.hpp"

#include <string_view>

namespace vigil::wire {

/// What is asked, and a question's proof belongs to. `process` is a pidfd of whoever asks, kept by
/// the caller.
struct StepUpQuestion {
    int process = -1;
    StepUpRequest request;
    std::optional<Command> command; ///< nullopt: not known, as to PAM
    /// Of a login, and of nothing else: what it has shown before (messages.hpp, AskLogin).
    std::optional<std::string> after = std::nullopt;
};

Result<AskReply> ask(Vigild& vigild, const StepUpQuestion& question);

/// `answer` to be judged as this factor; no copy of it is left.
Result<ProveReply> prove(Vigild& vigild, const StepUpQuestion& question, std::string_view factor,
                         std::string_view answer);

/// What the stack vigil-reauth said of a password, which stays here.
Result<ProveReply> vouch(Vigild& vigild, const StepUpQuestion& question, bool is_right);

/// What one of the person's security keys has to sign, now.
Result<KeyQuestion> challenge(Vigild& vigild, const StepUpQuestion& question);

/// Asks for somebody else's yes. `reason` may be empty.
Result<Requested> request_approval(Vigild& vigild, const StepUpQuestion& question,
                                   std::string_view reason);

/// Waits until it is answered or lapses: for minutes, with a budget of its own. ECANCELED: whoever
/// waits has had enough (base/interruption.hpp).
Result<ProveReply> await_approval(const std::string& socket, const StepUpQuestion& question,
                                  const Requested& requested);

/// A refusal as a person reads it at some program's terminal: `vigil: ` stands in front, once, for
/// a vigild of before says it itself.
std::string told_by_vigil(const std::string& why);

/// "Too many wrong answers: ...", where vigild takes none before.
std::string wait_text(std::uint64_t seconds);

} // namespace vigil::wire
