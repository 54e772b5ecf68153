// Approvals: somebody asks for another person's yes, waits for it, and somebody answers.

#include "base/clock.hpp"
#include "base/console.hpp"
#include "base/hex.hpp"
#include "base/log.hpp"
#include "base/openssl.hpp"
#include "daemon/bus/question.hpp"
#include "daemon/shell/facts.hpp"

#include <cerrno>
#include <utility>

namespace vigil::bus {

namespace {

/// What is not shown is not approved: a longer command is nobody's to approve.
constexpr std::size_t max_shown_bytes = 4096;

std::string number(std::size_t value) {
    return std::to_string(value) + ":";
}

/// Of all that an approver is shown but its times, each field with its length, so that no two
/// requests have the same.
Result<std::string> digest_of(const wire::Request& request) {
    std::string text{"vigil request "};
    for (const auto* field :
         {&request.id, &request.user, &request.runner, &request.host, &request.service,
          &request.terminal, &request.run_as, &request.directory, &request.reason})
        text += number(field->size()) + *field;
    text += number(request.command.size());
    for (const auto& word : request.command)
        text += number(word.size()) + word;
    const auto digest = base::digest(base::Hash::sha256, text);
    if (!digest)
        return digest;
    return base::hex_encode(*digest);
}

/// nullopt: it cannot be shown whole.
std::optional<std::vector<std::string>> shown_command(const core::StepUpAsked& asked) {
    const auto& command = asked.target.command;
    if (!command)
        return std::vector<std::string>{};
    if (command->cut)
        return std::nullopt;
    std::vector<std::string> words{command->edits ? "sudoedit" : base::escape(command->path)};
    std::size_t size = words.front().size();
    for (const auto& argument : command->arguments) {
        words.push_back(base::escape(argument));
        size += argument.size() + 1;
        if (size > max_shown_bytes)
            return std::nullopt;
    }
    return words;
}

wire::Request shown(const core::SessionId& id, const core::StepUpAsked& asked,
                    const std::string& reason, std::vector<std::string> command) {
    const auto& person = asked.subjects.front();
    // polkit's helper is run by whoever asked polkit, or by root.
    const auto& runner = asked.subjects.back();
    const bool became = runner.uid != person.uid && person.service != "polkit-1";
    return {.id = id.text(),
            .digest = {},
            .user = person.user,
            .runner = became ? runner.user : std::string{},
            .host = host_name(),
            .service = person.service,
            .terminal = asked.terminal == 0
                            ? std::string{}
                            : base::terminal_name(static_cast<dev_t>(asked.terminal)),
            .run_as = asked.target.run_as.value_or(""),
            .command = std::move(command),
            .directory = base::escape(asked.directory),
            .reason = reason,
            .since = 0,
            .until = 0,
            .own = false};
}

std::optional<std::uint32_t> login_of(pid_t pid) {
    const auto login = pid > 0 ? base::read_login_uid(pid) : fail(ESRCH, "no process");
    return login && *login != static_cast<uid_t>(-1) ? std::optional<std::uint32_t>{*login}
                                                     : std::nullopt;
}

/// The number is the kernel's word, by the broker; the login's can only take a yes away from who
/// has none to give, but root, whom it tells apart (SECURITY.md).
Result<core::Answerer> answerer(const Call& call) {
    auto facts = shell::facts_of_user(call.uid, "vigilctl");
    if (!facts)
        return fail(wire::code_denied, "vigil cannot tell who you are: " + facts.error().text());
    return core::Answerer{.person = std::move(*facts), .login_uid = login_of(call.pid)};
}

} // namespace

Result<> Api::request(const Call& call) {
    return request_approval(call, read_question(call, With::nothing));
}

Result<> Api::request_command(const Call& call) {
    return request_approval(call, read_question(call, With::command));
}

Result<> Api::request_approval(const Call& call, const Result<Question>& question) {
    if (!question)
        return std::unexpected{question.error()};
    auto reason = read<std::string>(call);
    if (!reason)
        return std::unexpected{reason.error()};
    auto asked = gather_all(*question);
    if (!asked)
        return std::unexpected{asked.error()};
    const auto refuse = [&](const char* why) -> Result<> {
        reply(call, [&](auto& sink) {
            return wire::append(sink, wire::Requested{.id = {}, .text = why});
        });
        return {};
    };
    auto command = shown_command(*asked);
    if (!command)
        return refuse("The command is too long for anybody to approve: shorten it.");
    const auto id = shell_.fresh_id();
    const auto text = base::escape(*reason, wire::max_reason_bytes);
    auto digest = digest_of(shown(id, *asked, text, std::move(*command)));
    if (!digest)
        return std::unexpected{digest.error()};
    auto login = login_of(question->process.pid());
    return put(call, core::ApprovalAsked{.token = 0,
                                         .asked = std::move(*asked),
                                         .fresh_id = id,
                                         .reason = text,
                                         .digest = std::move(*digest),
                                         .login_uid = login});
}

Result<> Api::await(const Call& call) {
    const auto process = read_process(call);
    if (!process)
        return std::unexpected{process.error()};
    const auto text = read<std::string>(call);
    const auto id = text ? core::SessionId::from_text(*text) : std::nullopt;
    if (!id)
        return fail(wire::code_invalid, "Await takes a process and a request.");
    return put(call, core::ApprovalAwaited{.token = 0, .request = *id, .asker = process->process});
}

Result<> Api::list_requests(const Call& call) {
    std::vector<wire::Request> requests;
    // Groups can be a directory's to tell, which takes its time: not for whoever likes to ask.
    if (!shell_.machine().has_requests()) {
        reply(call, [&](auto& sink) { return wire::append(sink, requests); });
        return {};
    }
    const auto by = answerer(call);
    if (!by)
        return std::unexpected{by.error()};
    const auto now = base::read_clocks();
    for (const auto& view : shell_.machine().requests(*by, now)) {
        auto request = shown(*view.id, *view.asked, *view.reason,
                             shown_command(*view.asked).value_or(std::vector<std::string>{}));
        request.digest = *view.digest;
        request.since = wire_time(view.since);
        request.until = wire_time(shell::wall_time_of(view.until, now));
        request.own = view.own;
        requests.push_back(std::move(request));
    }
    reply(call, [&](auto& sink) { return wire::append(sink, requests); });
    return {};
}

Result<> Api::answer_request(const Call& call, bool yes) {
    const auto text = read<std::string>(call);
    auto digest = read<std::string>(call);
    const auto id = text ? core::SessionId::from_text(*text) : std::nullopt;
    if (!id || !digest)
        return fail(wire::code_invalid, "A request is answered by its id and its digest.");
    std::string reason;
    if (!yes) {
        auto given = read<std::string>(call);
        if (!given)
            return std::unexpected{given.error()};
        reason = base::escape(*given, wire::max_reason_bytes);
    }
    auto by = shell_.machine().has_request(*id) ? answerer(call) : core::Answerer{};
    if (!by)
        return std::unexpected{by.error()};
    return put(call, core::ApprovalAnswered{.token = 0,
                                            .request = *id,
                                            .digest = std::move(*digest),
                                            .by = std::move(*by),
                                            .yes = yes,
                                            .reason = std::move(reason)});
}

Result<> Api::approve(const Call& call) {
    return answer_request(call, true);
}

Result<> Api::deny(const Call& call) {
    return answer_request(call, false);
}

} // namespace vigil::bus
