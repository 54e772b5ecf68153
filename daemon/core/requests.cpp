// Requests for another person's yes: one is made, waited for, answered, or lapses.

#include "daemon/core/step_up.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace vigil::core {

namespace {

constexpr const char* gone =
    "This request is over: it was answered, it lapsed, or its command was given up.";

Effect refused_request(Token token, std::string why) {
    return ReplyRequested{token, {.id = {}, .text = std::move(why)}};
}

Effect denied_proof(Token token, std::string why) {
    return ReplyProve{token,
                      {.verdict = wire::ProveReply::Verdict::denied, .text = std::move(why)}};
}

bool asks_for_approval(const policy::StepUpRule& rule) {
    return std::ranges::any_of(rule.require, [](const policy::Factors& way) {
        return std::ranges::count(way, policy::Factor::approval) > 0;
    });
}

/// Of each rule that takes an approval: nobody says yes for approvers that he is none of.
bool is_approver_of(const policy::Policy& policy, const policy::StepUpDecision& decision,
                    const Answerer& by) {
    if (decision.verdict != policy::StepUpDecision::Verdict::prove)
        return false;
    auto rules = decision.also;
    rules.push_back(decision.rule);
    std::erase_if(rules,
                  [&](std::size_t rule) { return !asks_for_approval(policy.step_up[rule]); });
    return !rules.empty() && std::ranges::all_of(rules, [&](std::size_t rule) {
        return policy::is_approver(policy.step_up[rule].approvers, by.person);
    });
}

/// nullopt: this person may answer.
std::optional<std::string> why_not(const policy::Policy& policy, const ApprovalRequest& request,
                                   const Answerer& by, const Now& now) {
    if (is_behind(request, by.person.uid) || (by.login_uid && is_behind(request, *by.login_uid)))
        return "Nobody answers a request of his own.";
    // Whoever became root by sudo is known by his login alone.
    if (by.person.uid == 0 && !by.login_uid)
        return "vigil cannot tell whose login you came by.";
    if (by.person.uid == 0)
        return std::nullopt;
    if (is_approver_of(policy, strictest(policy, request.asked, now), by))
        return std::nullopt;
    return "There is no such request, or it is not yours to answer.";
}

} // namespace

bool is_behind(const ApprovalRequest& request, std::uint32_t uid) {
    return request.login_uid == uid ||
           std::ranges::any_of(request.asked.subjects,
                               [&](const policy::Facts& facts) { return facts.uid == uid; });
}

ApprovalRequest* Machine::Data::find_request(const SessionId& id) {
    const auto found = std::ranges::find(requests, id, &ApprovalRequest::id);
    return found == requests.end() ? nullptr : &*found;
}

void Machine::Data::erase_request(const SessionId& id, Effects& effects) {
    effects.push_back(ForgetAsker{id});
    std::erase_if(requests, [&](const ApprovalRequest& each) { return each.id == id; });
}

Effects Machine::Data::on(const ApprovalAsked& event, const Now& now) {
    const auto& asked = event.asked;
    if (asked.subjects.empty() || asked.asker.pid == 0)
        return {refused_request(event.token, cannot_tell_who)};
    if (const auto why = why_blocked(asked, now))
        return {refused_request(event.token, *why)};
    const auto uid = asked.subjects.front().uid;
    const auto decision = strictest(policy, asked, now);
    const auto wanted = decision.verdict == policy::StepUpDecision::Verdict::prove
                            ? missing(decision, asked, begun_by(asked, now))
                            : policy::Factors{};
    if (std::ranges::count(wanted, policy::Factor::approval) == 0)
        return {refused_request(event.token, "The policy does not take an approval here.")};
    std::erase_if(asks_again_at, [&](const auto& pause) { return pause.second <= now.boot; });
    if (const auto pause = asks_again_at.find(uid); pause != asks_again_at.end())
        return {refused_request(
            event.token, "A request of yours was just denied: ask again in " +
                             duration_text(std::chrono::ceil<Seconds>(pause->second - now.boot)) +
                             ".")};
    const auto pending = std::ranges::count_if(requests, [&](const ApprovalRequest& each) {
        return each.asked.subjects.front().uid == uid;
    });
    if (pending >= max_requests_per_user || requests.size() >= max_requests)
        return {refused_request(event.token,
                                "Too many requests wait for an answer already: see `vigilctl "
                                "requests`.")};
    requests.push_back({.id = event.fresh_id,
                        .asked = asked,
                        .reason = event.reason,
                        .digest = event.digest,
                        .login_uid = event.login_uid,
                        .since = now.wall,
                        .until = now.boot + request_lasts});
    auto told = about(AuditKind::approval_asked, asked,
                      "request " + event.fresh_id.text().substr(0, 8) + " waits for an approver");
    told.reason = event.reason;
    return {WatchAsker{event.fresh_id, asked.asker}, std::move(told),
            ReplyRequested{event.token,
                           {.id = event.fresh_id.text(),
                            .text = {},
                            .wait_seconds = static_cast<std::uint64_t>(
                                std::chrono::floor<Seconds>(request_lasts).count())}}};
}

/// Only who asked waits: what somebody else brings is as good as no request.
Effects Machine::Data::on(const ApprovalAwaited& event, const Now& now) {
    auto* const request = find_request(event.request);
    if (request == nullptr || request->asked.asker != event.asker)
        return {denied_proof(event.token, gone)};
    Effects effects;
    // After a lost connection he comes again: the one before hears no more.
    if (const auto before = std::exchange(request->waiter, event.token); before != 0)
        effects.push_back(denied_proof(before, gone));
    if (request->answered)
        tell(*request, now, effects);
    return effects;
}

/// What was answered, to whoever waits for it. The request is gone afterwards.
void Machine::Data::tell(ApprovalRequest& request, const Now& now, Effects& effects) {
    const auto done = request;
    erase_request(done.id, effects);
    if (!done.answered->yes) {
        effects.push_back(denied_proof(done.waiter, done.answered->text));
        return;
    }
    auto more = proved(done.asked, policy::Factor::approval, done.waiter, done.id, now);
    std::ranges::move(more, std::back_inserter(effects));
}

Effects Machine::Data::on(const ApprovalAnswered& event, const Now& now) {
    const auto no = [&](const char* error, std::string why) {
        return Effects{ReplyDone{event.token, error, std::move(why)}};
    };
    auto* const request = find_request(event.request);
    if (request == nullptr || request->answered || request->until <= now.boot)
        return no(wire::error_not_found, gone);
    if (const auto why = why_blocked(event.by, now))
        return no(wire::error_denied, *why);
    if (const auto why = why_not(policy, *request, event.by, now))
        return no(wire::error_denied, *why);
    if (request->digest != event.digest)
        return no(wire::error_invalid, "The request is not the one that you saw: look again.");
    const std::string by = (event.yes ? "approved by " : "denied by ") + event.by.person.user;
    auto told = about(AuditKind::approval_answered, request->asked,
                      "request " + request->id.text().substr(0, 8) + " was " + by);
    told.reason = event.reason;
    Effects effects{std::move(told)};
    request->answered = ApprovalRequest::Answered{
        .yes = event.yes, .text = "The request was " + with_reason(by, event.reason) + "."};
    if (!event.yes)
        asks_again_at[request->asked.subjects.front().uid] = now.boot + request_pause;
    if (request->waiter != 0)
        tell(*request, now, effects);
    effects.push_back(ReplyDone{.token = event.token, .error = nullptr, .text = {}});
    return effects;
}

Effects Machine::Data::on(const AskerGone& event, const Now&) {
    auto* const request = find_request(event.request);
    if (request == nullptr)
        return {};
    Effects effects{about(AuditKind::approval_lapsed, request->asked,
                          "request " + request->id.text().substr(0, 8) + " was given up")};
    if (request->waiter != 0)
        effects.push_back(denied_proof(request->waiter, gone));
    erase_request(event.request, effects);
    return effects;
}

void Machine::Data::drop_request(const SessionId& id, const char* why, Effects& effects) {
    const auto* const request = find_request(id);
    effects.push_back(about(AuditKind::approval_lapsed, request->asked,
                            "request " + id.text().substr(0, 8) + " is over: " + why));
    if (request->waiter != 0)
        effects.push_back(denied_proof(request->waiter, why));
    erase_request(id, effects);
}

void Machine::Data::lapse_requests(const Now& now, Effects& effects) {
    std::vector<SessionId> lapsed;
    for (const auto& request : requests) {
        if (request.until > now.boot)
            continue;
        lapsed.push_back(request.id);
        const auto name = "request " + request.id.text().substr(0, 8);
        effects.push_back(about(AuditKind::approval_lapsed, request.asked,
                                request.answered ? name + " was answered, and nobody waited for it"
                                                 : "nobody answered " + name));
        if (request.waiter != 0)
            effects.push_back(denied_proof(request.waiter, "Nobody answered the request in " +
                                                               duration_text(request_lasts) + "."));
    }
    for (const auto& id : lapsed)
        erase_request(id, effects);
}

bool Machine::has_request(const SessionId& id) const {
    return data_->find_request(id) != nullptr;
}

bool Machine::has_requests() const noexcept {
    return !data_->requests.empty();
}

std::vector<RequestView> Machine::requests(const Answerer& by, const Now& now) const {
    std::vector<RequestView> views;
    for (const auto& request : data_->requests) {
        if (request.until <= now.boot || request.answered)
            continue;
        const bool own = is_behind(request, by.person.uid);
        const bool is_his =
            !data_->why_blocked(by, now) && !why_not(data_->policy, request, by, now);
        if (own || by.person.uid == 0 || is_his)
            views.push_back({.id = &request.id,
                             .asked = &request.asked,
                             .reason = &request.reason,
                             .digest = &request.digest,
                             .since = request.since,
                             .until = request.until,
                             .own = own});
    }
    return views;
}

} // namespace vigil::core
