#pragma once
// The questions to a person who has to prove something: the same words and as many tries behind PAM
// and behind sudo's plugin, which bring the person.

#include "base/secret.hpp"
#include "wire/agent.hpp"
#include "wire/step_up.hpp"

#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace vigil::wire {

enum class NoAnswer {
    nobody,   ///< no way to ask, no terminal, end of file, Ctrl-C
    empty,    ///< Enter alone
    unusable, ///< too long, or with control characters: not worth sending
};

/// What was typed, from the C string that it came as: what followed a NUL was never seen.
std::expected<base::Secret, NoAnswer> answer_of(const char* typed);

enum class Echo { off, on };

class Person {
public:
    virtual ~Person() = default;

    virtual std::expected<base::Secret, NoAnswer> ask(const std::string& prompt,
                                                      Echo echo = Echo::off) = 0;
    /// One line.
    virtual void say(std::string_view text) = 0;
    /// Where the person's security keys may be. nullopt: nowhere that is known.
    virtual std::optional<Agent> agent() const = 0;
};

struct Proving {
    enum class End {
        proved,
        refused,
        not_answered,
        unavailable, ///< vigild cannot be asked: `error`
    } end = End::refused;
    std::string why; ///< one line for the person, who has not been told yet; of the middle two
    std::optional<Error> error;
};

/// `wanted`: what vigild asks for, and of whom. A password is put before the stack vigil-reauth
/// right here; an approval is waited for, some minutes.
Proving ask_for_proof(Vigild& vigild, const StepUpQuestion& question, const AskReply& wanted,
                      Person& person);

} // namespace vigil::wire
