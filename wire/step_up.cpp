#include "wire/step_up.hpp"

#include "base/secret.hpp"
#include "wire/answer.hpp"
#include "wire/codec.hpp"

#include <cerrno>

#include <sys/random.h>

namespace vigil::wire {

namespace {

/// Wipes the answer in every case.
struct WipedProof : Proof {
    ~WipedProof() { base::wipe(answer.data(), answer.size()); }
};

Result<> append(sd_bus_message* message, const StepUpQuestion& question) {
    auto done = append_fd(message, question.process);
    if (done)
        done = append(message, question.request);
    if (done && question.command)
        done = append(message, *question.command);
    return done;
}

} // namespace

Result<AskReply> ask(Vigild& vigild, const StepUpQuestion& question) {
    const auto reply =
        vigild.call(stepup_interface, question.command ? "AskCommand" : "Ask",
                    [&](sd_bus_message* message) { return append(message, question); });
    if (!reply)
        return std::unexpected{reply.error()};
    return read<AskReply>(reply->get());
}

Result<ProveReply> prove(Vigild& vigild, const StepUpQuestion& question, std::string_view answer) {
    WipedProof proof;
    proof.factor = factor_of(answer);
    proof.answer = answer;
    if (getrandom(proof.attempt.data(), proof.attempt.size(), 0) !=
        static_cast<ssize_t>(proof.attempt.size()))
        return fail(errno, "drawing random bytes");
    const auto reply =
        vigild.call(stepup_interface, question.command ? "ProveCommand" : "Prove",
                    [&](sd_bus_message* message) {
                        auto done = append(message, question);
                        return done ? append(message, static_cast<const Proof&>(proof)) : done;
                    });
    if (!reply)
        return std::unexpected{reply.error()};
    return read<ProveReply>(reply->get());
}

std::string wait_text(std::uint64_t seconds) {
    return "Too many wrong answers: try again in " + std::to_string(seconds) + " s.";
}

} // namespace vigil::wire
