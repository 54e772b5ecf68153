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
};

Result<AskReply> ask(Vigild& vigild, const StepUpQuestion& question);

/// `answer` to be judged as what it looks like (answer.hpp); no copy of it is left.
Result<ProveReply> prove(Vigild& vigild, const StepUpQuestion& question, std::string_view answer);

/// "Too many wrong answers: ...", where vigild takes none before.
std::string wait_text(std::uint64_t seconds);

} // namespace vigil::wire
