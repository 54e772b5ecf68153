#include "sudo_plugin/approval.hpp"

#include "base/log.hpp"
#include "base/process.hpp"
#include "sudo_plugin/command.hpp"
#include "wire/block_mark.hpp"
#include "wire/observing.hpp"

#include <syslog.h>
#include <unistd.h>

namespace vigil::sudo {

namespace {

void log(int priority, const std::string& text) {
    ::syslog(LOG_AUTHPRIV | priority, "vigil: %s", base::escape(text).c_str());
}

Answer refuse(const Run& run, const std::string& why) {
    run.conversation.tell(wire::told_by_vigil(why));
    log(LOG_NOTICE, "refused " + run.user + ": " + why);
    return Answer::refused;
}

/// Root has nothing to gain by a step-up, and his scripts would end with vigild.
Answer without_vigild(const Run& run, const Error& error) {
    log(LOG_WARNING, "vigild cannot be asked: " + error.text());
    if (wire::observes(run.socket)) {
        log(LOG_WARNING, "vigil only observes on this host, so this is let through");
        return Answer::allowed;
    }
    if (const auto reason = wire::blocked_by_mark_here(run.socket, run.uid))
        return refuse(run, *reason);
    if (run.uid == 0 || (run.lets_pass && wire::is_down(error)))
        return Answer::allowed;
    return refuse(run, "vigild cannot be asked whether you may do this, so you may not. See: "
                       "systemctl status vigild");
}

Answer ask_person(const Run& run, wire::Vigild& vigild, const wire::StepUpQuestion& question,
                  const wire::AskReply& reply) {
    if (!run.may_ask)
        return refuse(run, reply.text + ", and with -n nobody is asked: run it without -n, from a "
                                        "terminal.");
    Conversation person = run.conversation;
    const auto proving = wire::ask_for_proof(vigild, question, reply, person);
    switch (proving.end) {
    case wire::Proving::End::proved:
        return Answer::allowed;
    case wire::Proving::End::refused:
    case wire::Proving::End::not_answered:
        return refuse(run, proving.why);
    case wire::Proving::End::unavailable:
        break;
    }
    return without_vigild(run, proving.error.value_or(Error{}));
}

} // namespace

Answer approve(const Run& run, const Told& told) {
    const auto process = base::open_pidfd(::getpid());
    const auto run_as = run_as_of(told.command_info);
    if (!process || !run_as)
        return refuse(run, "it cannot be told what is to run, so it may not: " +
                               (process ? run_as.error() : process.error()).text());
    const wire::StepUpQuestion question{.process = process->get(),
                                        .request = {.purpose = wire::Purpose::step_up,
                                                    .login = {.user = run.user,
                                                              .uid = run.uid,
                                                              .groups = {},
                                                              .service = run.service,
                                                              .terminal = {},
                                                              .remote_host = {}},
                                                    .run_as = *run_as},
                                        .command = command_of(told, run.directory)};
    wire::Vigild vigild{run.socket, wire::machine_timeout};
    const auto reply = wire::ask(vigild, question);
    if (!reply)
        return without_vigild(run, reply.error());
    switch (reply->verdict) {
    case wire::AskReply::Verdict::allowed:
        if (!reply->factors.empty()) // there is time yet to enrol them
            run.conversation.tell(wire::told_by_vigil(reply->text));
        return Answer::allowed;
    case wire::AskReply::Verdict::not_applicable:
        return Answer::allowed;
    case wire::AskReply::Verdict::denied:
        return refuse(run, reply->text);
    case wire::AskReply::Verdict::prove:
        return ask_person(run, vigild, question, *reply);
    }
    return refuse(run, "vigild gave no answer that is known here.");
}

} // namespace vigil::sudo
