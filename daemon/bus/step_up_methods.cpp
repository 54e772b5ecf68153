// Step-up: who stands behind a privileged command, what he has to prove, and the proof.

#include "base/clock.hpp"
#include "base/secret.hpp"
#include "daemon/bus/parse.hpp"
#include "daemon/shell/facts.hpp"

#include <algorithm>

namespace vigil::bus {

struct Question {
    Brought process;
    wire::StepUpRequest request;
};

namespace {

Result<Question> read_question(const Call& call) {
    auto process = read_process(call);
    if (!process)
        return std::unexpected{process.error()};
    auto request = read<wire::StepUpRequest>(call);
    if (!request)
        return std::unexpected{request.error()};
    return Question{std::move(*process), std::move(*request)};
}

void reply_denied(const Call& call, const char* why) {
    reply(call, [&](auto* message) {
        return wire::append(
            message, wire::AskReply{.verdict = wire::AskReply::Verdict::denied, .text = why});
    });
}

/// Has nothing to gain by a step-up, and may be the one who is about to mend the policy. polkit's
/// helper may be root's for anybody.
bool is_root_already(const Question& question) {
    const auto runner = base::read_real_uid(question.process.pid());
    return runner && *runner == 0 && question.request.login.service != "polkit-1" &&
           !question.process.has_ended();
}

/// A process that has left its terminal's session has no terminal either (setsid(2)).
base::Process leader_of_terminal(const base::ProcessStat& process) {
    const auto leader = base::read_process_stat(process.session);
    if (process.terminal == 0 || !leader || leader->terminal != process.terminal)
        return {};
    return {.pid = leader->pid, .start_time = leader->start_time};
}

core::ProofChecked::Outcome outcome_of(const Result<factors::CheckOutcome>& checked) {
    using Verdict = factors::CheckOutcome::Verdict;
    if (!checked)
        return core::ProofChecked::Outcome::unavailable;
    switch (checked->verdict) {
    case Verdict::accepted:
        return core::ProofChecked::Outcome::accepted;
    case Verdict::throttled:
        return core::ProofChecked::Outcome::throttled;
    case Verdict::wrong:
        break;
    }
    return core::ProofChecked::Outcome::wrong;
}

} // namespace

/// The person is the one who logged in; the command may be run by another after `su`. Root is asked
/// as himself: he got there by a step-up, or has nothing left to gain by one.
Result<core::StepUpAsked> Api::gather(const Question& question) {
    const auto unknown = fail(wire::code_denied, "vigil cannot tell who asks.");
    const auto pid = question.process.pid();
    const auto stat = base::read_process_stat(pid);
    const auto runner = base::read_real_uid(pid);
    if (!stat || !runner || *runner == static_cast<uid_t>(-1))
        return unknown;
    const auto& service = question.request.login.service;
    core::StepUpAsked asked;
    asked.terminal = stat->terminal;
    asked.terminal_leader = leader_of_terminal(*stat);
    asked.session = shell_.session_of(pid);
    if (!question.request.run_as.empty())
        asked.run_as = question.request.run_as;
    const auto view = asked.session ? shell_.machine().view(*asked.session) : std::nullopt;
    // Who is in which groups decides which rule holds: not knowing it is no reason for none.
    const auto add = [&](uid_t uid) -> Result<> {
        auto facts = shell::facts_of_user(uid, service);
        if (!facts)
            return fail(wire::code_denied,
                        "vigil cannot tell who asks: " + facts.error().text() + ".");
        asked.subjects.push_back(std::move(*facts));
        return {};
    };
    if (*runner != 0) {
        if (view) {
            asked.subjects.push_back(view->record->facts);
        } else if (const auto login = base::read_login_uid(pid);
                   login && *login != static_cast<uid_t>(-1)) {
            if (const auto added = add(*login); !added)
                return std::unexpected{added.error()};
        }
    }
    // All that was read under the number was the asker's own: he still has it.
    if (question.process.has_ended())
        return unknown;
    if (asked.subjects.empty() || asked.subjects.front().uid != *runner)
        if (const auto added = add(*runner); !added)
            return std::unexpected{added.error()};
    for (auto& subject : asked.subjects) {
        subject.service = service;
        if (view) {
            subject.remote = view->record->facts.remote;
            subject.remote_unknown = view->record->facts.remote_unknown;
        }
    }
    const auto person = asked.subjects.front().uid;
    if (factors_) {
        asked.person_has_factor = factors_->has_active(person).value_or(false);
        asked.wait = factors_->wait_for(person, base::read_clocks()).value_or(Seconds{0});
    }
    return asked;
}

Result<> Api::ask(const Call& call) {
    const auto question = read_question(call);
    if (!question)
        return std::unexpected{question.error()};
    if (question->request.purpose == wire::Purpose::unlock) {
        const auto id = shell_.locked_at(question->request.login.terminal);
        const auto view = id ? shell_.machine().view(*id) : std::nullopt;
        wire::AskReply offer{.verdict = wire::AskReply::Verdict::prove};
        if (!view || view->record->facts.user != question->request.login.user)
            offer = {.verdict = wire::AskReply::Verdict::denied, .text = "Nothing is locked here."};
        else
            for (const auto factor :
                 unlock_factors(*view, shell_.foreign_holders(view->record->id, shell::shown_age)))
                offer.factors.emplace_back(policy::to_text(factor));
        reply(call, [&](auto* message) { return wire::append(message, offer); });
        return {};
    }
    if (!policy_.usable()) {
        if (is_root_already(*question)) {
            reply(call, [](auto* message) {
                return wire::append(
                    message, wire::AskReply{.verdict = wire::AskReply::Verdict::not_applicable});
            });
            return {};
        }
        reply_denied(call, "vigil has no policy it can read: see `vigilctl status`.");
        return {};
    }
    auto asked = gather(*question);
    if (!asked)
        return std::unexpected{asked.error()};
    return put(call, std::move(*asked));
}

Result<> Api::prove(const Call& call) {
    const auto question = read_question(call);
    if (!question)
        return std::unexpected{question.error()};
    auto proof = read<wire::Proof>(call);
    if (!proof)
        return std::unexpected{proof.error()};
    const base::Secret answer_typed{std::move(proof->answer)};
    if (question->request.purpose == wire::Purpose::unlock) {
        proof->answer = std::string{answer_typed.view()};
        prove_unlock(call, question->request, *proof);
        base::wipe(proof->answer.data(), proof->answer.size());
        return {};
    }
    auto asked = gather(*question);
    if (!asked)
        return std::unexpected{asked.error()};
    core::ProofChecked checked{.token = 0,
                               .request = std::move(*asked),
                               .fresh_id = shell_.fresh_id(),
                               .outcome = core::ProofChecked::Outcome::unavailable,
                               .factor = proof->factor,
                               .wait = {}};
    if (factors_ && policy_.usable() && proof->factor == "totp") {
        const auto outcome =
            factors_->check_totp(checked.request.subjects.front().uid, answer_typed.view(),
                                 proof->attempt, base::read_clocks());
        checked.outcome = outcome_of(outcome);
        if (outcome)
            checked.wait = outcome->wait;
    }
    return put(call, std::move(checked));
}

} // namespace vigil::bus
