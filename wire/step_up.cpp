#include "wire/step_up.hpp"

#include "base/interruption.hpp"
#include "base/secret.hpp"
#include "wire/codec.hpp"

#include <algorithm>
#include <cerrno>

#include <sys/random.h>

namespace vigil::wire {

namespace {

/// vigild names the time itself; one that lies holds nobody for ever.
constexpr std::uint64_t longest_wait = 3600;

/// Wipes the answer in every case.
struct WipedProof : Proof {
    ~WipedProof() { base::wipe(answer.data(), answer.size()); }
};

Result<> append(base::ValueSink& sink, const StepUpQuestion& question) {
    auto done = append_fd(sink, question.process);
    if (done)
        done = append(sink, question.request);
    if (done && question.command)
        done = append(sink, *question.command);
    if (done && question.after)
        done = append_text(sink, *question.after);
    return done;
}

/// Of the two questions that each has a method of its own for: what is asked about.
const char* method_of(const StepUpQuestion& question, const char* plain, const char* of_command,
                      const char* of_login) {
    return question.command ? of_command : question.after ? of_login : plain;
}

} // namespace

Result<AskReply> ask(Vigild& vigild, const StepUpQuestion& question) {
    const auto reply =
        vigild.call(stepup_interface, method_of(question, "Ask", "AskCommand", "AskLogin"),
                    [&](base::ValueSink& sink) { return append(sink, question); });
    return read_reply<AskReply>(reply);
}

namespace {

Result<ProveReply> send(Vigild& vigild, const StepUpQuestion& question, Proof& proof) {
    if (getrandom(proof.attempt.data(), proof.attempt.size(), 0) !=
        static_cast<ssize_t>(proof.attempt.size()))
        return fail(errno, "drawing random bytes");
    const auto reply =
        vigild.call(stepup_interface, method_of(question, "Prove", "ProveCommand", "ProveLogin"),
                    [&](base::ValueSink& sink) {
                        auto done = append(sink, question);
                        return done ? append(sink, proof) : done;
                    });
    return read_reply<ProveReply>(reply);
}

} // namespace

Result<ProveReply> prove(Vigild& vigild, const StepUpQuestion& question, std::string_view factor,
                         std::string_view answer) {
    WipedProof proof;
    proof.factor = factor;
    proof.answer = answer;
    return send(vigild, question, proof);
}

Result<ProveReply> vouch(Vigild& vigild, const StepUpQuestion& question, bool is_right) {
    Proof proof{.factor = "password", .answer = {}, .vouched = is_right, .attempt = {}};
    return send(vigild, question, proof);
}

Result<KeyQuestion> challenge(Vigild& vigild, const StepUpQuestion& question) {
    const auto reply =
        vigild.call(stepup_interface, question.command ? "ChallengeCommand" : "Challenge",
                    [&](base::ValueSink& sink) { return append(sink, question); });
    return read_reply<KeyQuestion>(reply);
}

Result<Requested> request_approval(Vigild& vigild, const StepUpQuestion& question,
                                   std::string_view reason) {
    const auto reply =
        vigild.call(stepup_interface, question.command ? "RequestCommand" : "Request",
                    [&](base::ValueSink& sink) {
                        auto done = append(sink, question);
                        return done ? append_text(sink, std::string{reason}) : done;
                    });
    return read_reply<Requested>(reply);
}

Result<ProveReply> await_approval(const std::string& socket, const StepUpQuestion& question,
                                  const Requested& requested) {
    const base::Interruption interruption;
    const Seconds wait{static_cast<std::int64_t>(std::min(requested.wait_seconds, longest_wait))};
    Vigild vigild{socket, machine_timeout + wait, interruption.fd()};
    const auto reply = vigild.call(stepup_interface, "Await", [&](base::ValueSink& sink) {
        auto done = append_fd(sink, question.process);
        return done ? append_text(sink, requested.id) : done;
    });
    return read_reply<ProveReply>(reply);
}

std::string told_by_vigil(const std::string& why) {
    constexpr std::string_view who = "vigil: ";
    return why.starts_with(who) ? why : std::string{who} + (why.empty() ? "refused." : why);
}

std::string wait_text(std::uint64_t seconds) {
    return "Too many wrong answers: try again in " + std::to_string(seconds) + " s.";
}

} // namespace vigil::wire
