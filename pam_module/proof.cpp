#include "pam_module/proof.hpp"

#include "pam_module/conversation.hpp"

namespace vigil::pam {

Outcome ask_for_proof(Call& call, const wire::StepUpQuestion& question,
                      const wire::AskReply& reply) {
    Person person{call.pam};
    const auto proving = wire::ask_for_proof(call.vigild, question, reply, person);
    switch (proving.end) {
    case wire::Proving::End::proved:
        return Outcome::granted;
    case wire::Proving::End::refused:
        return refuse(call, proving.why);
    case wire::Proving::End::not_answered:
        refuse(call, proving.why);
        return Outcome::cannot_ask;
    case wire::Proving::End::unavailable:
        break;
    }
    return unavailable(call, proving.error.value_or(Error{}));
}

} // namespace vigil::pam
