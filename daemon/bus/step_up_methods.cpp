// Step-up: who stands behind a privileged command, what he has to prove, and the proof.

#include "base/clock.hpp"
#include "base/secret.hpp"
#include "daemon/bus/question.hpp"
#include "daemon/bus/source.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/shell/facts.hpp"

#include <algorithm>
#include <cerrno>

namespace vigil::bus {

Result<Question> read_question(const Call& call, With with) {
    auto process = read_process(call);
    if (!process)
        return std::unexpected{process.error()};
    auto request = read<wire::StepUpRequest>(call);
    if (!request)
        return std::unexpected{request.error()};
    Question question{.process = std::move(*process),
                      .request = std::move(*request),
                      .command = std::nullopt,
                      .directory = {},
                      .is_sudos = false,
                      .after = std::nullopt};
    // A login is asked about by methods of its own, and by no other.
    if ((with == With::login) != (question.request.purpose == wire::Purpose::login))
        return fail(wire::code_invalid, "That is not what this method asks about.");
    if (with == With::login) {
        auto after = read<std::string>(call);
        if (!after)
            return std::unexpected{after.error()};
        if (after->size() > wire::max_fingerprint_bytes)
            return fail(wire::code_invalid, "That is no fingerprint.");
        question.after = std::move(*after);
    }
    if (with == With::command) {
        auto command = read<wire::Command>(call);
        if (!command)
            return std::unexpected{command.error()};
        question.is_sudos = true;
        question.directory = std::move(command->directory);
        if (command->edits || !command->path.empty())
            question.command = {.path = std::move(command->path),
                                .named = std::move(command->named),
                                .link = std::move(command->link),
                                .arguments = std::move(command->arguments),
                                .edits = command->edits,
                                .settled = command->settled,
                                .cut = command->cut};
    }
    return question;
}

namespace {

void reply_denied(const Call& call, const std::string& why) {
    reply(call, [&](auto& sink) {
        return wire::append(
            sink, wire::AskReply{.verdict = wire::AskReply::Verdict::denied, .text = why});
    });
}

/// By the kernel; but sudo, once its command runs, is root's through and through, so that its user
/// cannot end it, and asks again for each program that the command starts (sudoers(5): intercept).
/// It knows since its start whose it is, and is taken at its word: it is root's to say.
Result<uid_t> runner_of(const Question& question) {
    const auto runner = base::read_real_uid(question.process.pid());
    if (runner && *runner == 0 && question.is_sudos)
        return uid_t{question.request.login.uid};
    return runner;
}

/// Has nothing to gain by a step-up, and may be the one who is about to mend the policy. polkit's
/// helper may be root's for anybody.
bool is_root_already(const Question& question) {
    if (question.after)
        return false;
    const auto runner = runner_of(question);
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

std::optional<factors::Factors::Proof> judged_as(std::string_view factor) {
    if (factor == "totp")
        return factors::Factors::Proof::totp;
    if (factor == "recovery")
        return factors::Factors::Proof::recovery;
    return std::nullopt;
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

factors::Source Api::asked_from(const core::StepUpAsked& asked) const {
    if (asked.login)
        return source_of(asked.subjects.front());
    return source_of(asked.session ? shell_.machine().view(*asked.session) : std::nullopt);
}

/// The person is the one who logged in; the command may be run by another after `su`. Root is asked
/// as himself: he got there by a step-up, or has nothing left to gain by one. Of what polkit asks
/// the person is the one whose password was given.
Result<core::StepUpAsked> Api::gather(const Question& question) {
    if (question.after)
        return gather_login(question);
    const auto unknown = fail(wire::code_denied, "vigil cannot tell who asks.");
    const auto pid = question.process.pid();
    const auto& stat = question.process.stat;
    const auto runner = runner_of(question);
    if (!runner || *runner == static_cast<uid_t>(-1))
        return unknown;
    const auto& service = question.request.login.service;
    core::StepUpAsked asked;
    asked.asker = question.process.process;
    asked.directory = question.directory;
    asked.terminal = stat.terminal;
    asked.terminal_leader = leader_of_terminal(stat);
    asked.session = shell_.session_of(pid);
    if (!question.request.run_as.empty())
        asked.target.run_as = question.request.run_as;
    if (const auto login = base::read_login_uid(pid); login && *login != static_cast<uid_t>(-1))
        asked.login_uid = *login;
    // Of su's PAM_USER, and of no other's, it is said that he is whom the command runs as.
    if (!question.is_sudos && question.request.run_as == question.request.login.user)
        asked.becomes = question.request.login.uid;
    asked.target.command = question.command;
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
    // Whose password polkit's helper has taken may be another's than who asks, and the helper
    // root's own. Root's password is nobody's in particular, as with su.
    const bool is_polkits = service == "polkit-1";
    const uid_t named = question.request.login.uid;
    if (is_polkits && named != 0 && !(view && view->record->facts.uid == named))
        if (const auto added = add(named); !added)
            return std::unexpected{added.error()};
    if (*runner != 0 || is_polkits) {
        if (view) {
            asked.subjects.push_back(view->record->facts);
        } else if (asked.login_uid) {
            if (const auto added = add(*asked.login_uid); !added)
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
    return asked;
}

void Api::look_at_factors(core::StepUpAsked& asked) {
    const auto person = asked.subjects.front().uid;
    const auto has = factors_ ? factors_->active(person) : fail(ENOENT, factors_error_);
    asked.cannot_check = !has;
    if (!has)
        return;
    if (has->totp)
        asked.person_has.push_back(policy::Factor::totp);
    if (has->recovery)
        asked.person_has.push_back(policy::Factor::recovery);
    if (has->key && !asked.login)
        asked.person_has.push_back(policy::Factor::key);
    const auto now = base::read_clocks();
    asked.wait = factors_->wait_for(person, asked_from(asked), now).value_or(Seconds{0});
    if (asked.login)
        return;
    asked.enrols_first = asked.subjects.front().service == "polkit-1" && asked.person_has.empty() &&
                         first_enrolments_.contains(person);
    // Who is told that he needs a factor is told now; where that cannot be written down he has no
    // time.
    if (shell_.machine().gives_time_to_enroll(asked, now))
        asked.grace_used = factors_->grace_used(person, now).value_or(std::nullopt);
}

Result<core::StepUpAsked> Api::gather_all(const Question& question) {
    auto asked = gather(question);
    if (asked)
        look_at_factors(*asked);
    return asked;
}

/// By what PAM and sshd say of a login that no kernel knows yet; they are root's.
Result<core::StepUpAsked> Api::gather_login(const Question& question) {
    const auto& login = question.request.login;
    core::StepUpAsked asked;
    asked.asker = question.process.process;
    asked.subjects.push_back(shell::facts_of(login));
    asked.login = core::AtLogin{.leader = question.process.process,
                                .after = *question.after,
                                .host = login.remote_host,
                                .is_way_back_in = login.uid == 0 && login.remote_host.empty() &&
                                                  is_roots_at_console(question.process)};
    return asked;
}

Result<> Api::ask_login(const Call& call) {
    return reply_to(call, read_question(call, With::login));
}

Result<> Api::prove_login(const Call& call) {
    return judge(call, read_question(call, With::login));
}

Result<> Api::ask(const Call& call) {
    return reply_to(call, read_question(call, With::nothing));
}

Result<> Api::ask_command(const Call& call) {
    return reply_to(call, read_question(call, With::command));
}

Result<> Api::prove(const Call& call) {
    return judge(call, read_question(call, With::nothing));
}

Result<> Api::prove_command(const Call& call) {
    return judge(call, read_question(call, With::command));
}

Result<> Api::reply_to(const Call& call, const Result<Question>& question) {
    if (!question)
        return std::unexpected{question.error()};
    if (question->request.purpose == wire::Purpose::unlock) {
        const auto id = shell_.locked_at(question->request.login.terminal);
        const auto view = id ? shell_.machine().view(*id) : std::nullopt;
        wire::AskReply offer{.verdict = wire::AskReply::Verdict::prove};
        if (!view || view->record->facts.user != question->request.login.user)
            offer = {.verdict = wire::AskReply::Verdict::denied, .text = "Nothing is locked here."};
        else if (const auto why =
                     shell_.machine().why_blocked(view->record->facts.uid, base::read_clocks()))
            offer = {.verdict = wire::AskReply::Verdict::denied, .text = *why};
        else
            for (const auto factor :
                 unlock_factors(*view, shell_.foreign_holders(view->record->id, shell::shown_age)))
                offer.factors.emplace_back(policy::to_text(factor));
        reply(call, [&](auto& sink) { return wire::append(sink, offer); });
        return {};
    }
    // passwd, chsh and their like run inside a session: no login.
    if (question->after && enforce::logind_session_of(question->process.pid()) &&
        !question->process.has_ended()) {
        reply(call, [](auto& sink) {
            return wire::append(sink,
                                wire::AskReply{.verdict = wire::AskReply::Verdict::not_applicable});
        });
        return {};
    }
    auto asked = gather(*question);
    if (!policy_.usable()) {
        // Who is blocked is known without a policy.
        const auto blocked =
            asked ? shell_.machine().why_blocked(*asked, base::read_clocks()) : std::nullopt;
        if (is_root_already(*question) && !blocked) {
            reply(call, [](auto& sink) {
                return wire::append(
                    sink, wire::AskReply{.verdict = wire::AskReply::Verdict::not_applicable});
            });
            return {};
        }
        reply_denied(call, blocked.value_or(no_policy));
        return {};
    }
    if (!asked)
        return std::unexpected{asked.error()};
    if (shell_.machine().needs_factors(*asked, base::read_clocks()))
        look_at_factors(*asked);
    if (asked->enrols_first) // once: what else polkit asks him for is as it ever was
        first_enrolments_.erase(asked->subjects.front().uid);
    return put(call, std::move(*asked));
}

Result<> Api::judge(const Call& call, const Result<Question>& question) {
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
    auto asked = gather_all(*question);
    if (!asked)
        return std::unexpected{asked.error()};
    core::ProofChecked checked{.token = 0,
                               .request = std::move(*asked),
                               .fresh_id = shell_.fresh_id(),
                               .outcome = core::ProofChecked::Outcome::unavailable,
                               .factor = proof->factor,
                               .verified = false,
                               .wait = {},
                               .failures = 0};
    const auto kind = judged_as(proof->factor);
    const auto now = base::read_clocks();
    const auto source = asked_from(checked.request);
    const auto person = checked.request.subjects.front().uid;
    const auto take = [&](const Result<factors::CheckOutcome>& outcome) {
        checked.outcome = outcome_of(outcome);
        if (outcome) {
            checked.wait = outcome->wait;
            checked.failures = outcome->failures;
        }
    };
    if (!shell_.machine().takes(checked.request, proof->factor, now)) {
        checked.outcome = core::ProofChecked::Outcome::not_taken;
    } else if (proof->factor == policy::to_text(policy::Factor::password)) {
        // PAM has judged it, on root's side: the only one that the socket lets in.
        if (factors_)
            take(factors_->check_password(person, source, proof->vouched, proof->attempt, now));
    } else if (proof->factor == policy::to_text(policy::Factor::key)) {
        judge_key(checked, answer_typed.view(), proof->attempt, now);
    } else if (kind && factors_ && policy_.usable()) {
        take(factors_->check(*kind, person, source, answer_typed.view(), proof->attempt, now));
    }
    return put(call, std::move(checked));
}

} // namespace vigil::bus
