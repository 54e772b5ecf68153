// What vigil-lock asks and tells, and the code that pam_vigil.so takes for it.

#include "base/clock.hpp"
#include "base/log.hpp"
#include "daemon/bus/parse.hpp"
#include "daemon/enforce/paused.hpp"

#include <algorithm>

#include <unistd.h>

namespace vigil::bus {

namespace {

/// What a person wants done with a session, and why.
struct Order {
    core::SessionId session;
    std::string reason;
};

Result<Order> read_order(const Call& call) {
    const auto session = read_session(call);
    if (!session)
        return std::unexpected{session.error()};
    auto reason = read<std::string>(call);
    if (!reason)
        return std::unexpected{reason.error()};
    return Order{*session, std::move(*reason)};
}

std::string host_name() {
    char name[256] = {};
    return gethostname(name, sizeof name - 1) == 0 ? name : "this host";
}

std::string holder_warning(const enforce::ForeignHolder& holder) {
    return "Process " + std::to_string(holder.pid) + " (" + base::escape(holder.command, 64) +
           (holder.path.empty() ? ") outside this session cannot be looked through"
                                : ") outside this session reads this terminal too") +
           ": no password is taken here.";
}

/// The most that are told by name.
constexpr std::size_t max_paused_named = 3;

void tell_paused(const core::SessionRecord& record, wire::LockInfo& info) {
    if (record.cgroup.empty())
        return;
    for (const auto& program : enforce::paused_programs(record.cgroup, record.locked_since)) {
        if (info.paused.size() == max_paused_named) {
            ++info.paused_more;
            continue;
        }
        constexpr std::chrono::minutes minute{1};
        const auto ran = program.ran < minute
                             ? program.ran
                             : std::chrono::floor<std::chrono::minutes>(program.ran);
        info.paused.push_back(base::escape(program.name, 64) + ", " + core::duration_text(ran));
    }
}

} // namespace

/// What is worthless once used may be typed anywhere; a password only where nobody else reads.
std::vector<policy::Factor>
Api::unlock_factors(const core::SessionView& view,
                    const std::vector<enforce::ForeignHolder>& readers) {
    std::vector<policy::Factor> taken;
    for (const auto factor : view.decision->unlock) {
        if (factor == policy::Factor::password && !readers.empty())
            continue;
        if (factor == policy::Factor::totp &&
            !(factors_ && factors_->has_active(view.record->facts.uid).value_or(false)))
            continue;
        taken.push_back(factor);
    }
    return taken;
}

Result<> Api::lock_info(const Call& call) {
    const auto id = read_session(call);
    if (!id)
        return std::unexpected{id.error()};
    wire::LockInfo info;
    const auto view = shell_.machine().view(*id);
    if (view && view->record->state == core::State::locked) {
        const auto& record = *view->record;
        const auto now = base::read_clocks();
        info.locked = true;
        info.user = record.facts.user;
        info.host = host_name();
        info.locked_by = record.locked_by;
        info.locked_since = wire_time(record.locked_since_wall);
        if (view->next_action == "terminate")
            info.ends_at = wire_time(now.wall + (view->next_at - now.boot));
        const auto readers = shell_.foreign_holders(*id);
        for (const auto factor : unlock_factors(*view, readers))
            info.factors.emplace_back(policy::to_text(factor));
        for (const auto& holder : readers)
            info.warnings.push_back(holder_warning(holder));
        tell_paused(record, info);
        if (info.factors.empty())
            info.warnings.emplace_back("Nothing can be proved here: an administrator unlocks it "
                                       "with `vigilctl unlock`.");
        if (record.unlock_not_before > now.boot)
            info.wait_seconds = static_cast<std::uint64_t>(
                std::chrono::ceil<Seconds>(record.unlock_not_before - now.boot).count());
    }
    reply(call, [&](auto* message) { return wire::append(message, info); });
    return {};
}

void Api::prove_unlock(const Call& call, const wire::StepUpRequest& request,
                       const wire::Proof& proof) {
    wire::ProveReply result{.verdict = wire::ProveReply::Verdict::denied,
                            .text = "Nothing is locked here."};
    const auto id = shell_.locked_at(request.login.terminal);
    const auto view = id ? shell_.machine().view(*id) : std::nullopt;
    if (view && view->record->facts.user == request.login.user && proof.factor == "totp" &&
        std::ranges::count(unlock_factors(*view, {}), policy::Factor::totp)) {
        const auto checked = factors_->check_totp(view->record->facts.uid, proof.answer,
                                                  proof.attempt, base::read_clocks());
        using Verdict = factors::CheckOutcome::Verdict;
        if (!checked)
            result.text = "vigil cannot check codes now.";
        else if (checked->verdict == Verdict::accepted)
            result = {.verdict = wire::ProveReply::Verdict::accepted};
        else if (checked->verdict == Verdict::throttled)
            result = {.verdict = wire::ProveReply::Verdict::denied,
                      .text = "Too many wrong codes: wait " +
                              std::to_string(checked->wait.count()) + " s.",
                      .wait_seconds = static_cast<std::uint64_t>(checked->wait.count())};
        else
            result = {.verdict = wire::ProveReply::Verdict::wrong};
    }
    reply(call, [&](auto* message) { return wire::append(message, result); });
}

Result<> Api::unlocked(const Call& call) {
    const auto id = read_session(call);
    if (!id)
        return std::unexpected{id.error()};
    const auto terminal = read<std::string>(call);
    const auto proved = read<std::string>(call);
    if (!terminal || !proved)
        return fail(wire::code_invalid, "Unlocked takes a session, a terminal and a factor.");
    const auto view = shell_.machine().view(*id);
    const auto factor = policy::factor_from_text(*proved);
    if (!factor)
        return fail(wire::code_invalid, "There is no such factor.");
    if (!view)
        return fail(wire::code_not_found, "There is no such session.");
    // Who reads the terminal matters to a password alone, and to look takes time.
    const auto readers = *factor == policy::Factor::password
                             ? shell_.foreign_holders(*id)
                             : std::vector<enforce::ForeignHolder>{};
    if (view->record->state == core::State::locked &&
        !std::ranges::count(unlock_factors(*view, readers), *factor))
        return fail(wire::code_denied, "This factor does not unlock this terminal now.");
    return put(call, core::UnlockAsked{0, *id, *proved, "at " + *terminal});
}

Result<> Api::unlock_failed(const Call& call) {
    const auto id = read_session(call);
    if (!id)
        return std::unexpected{id.error()};
    return put(call, core::UnlockRefused{0, *id});
}

Result<> Api::lock(const Call& call) {
    auto order = read_order(call);
    if (!order)
        return std::unexpected{order.error()};
    const auto by = "by " + caller_name(call);
    return put(call, core::LockAsked{0, order->session,
                                     order->reason.empty() ? by : by + ": " + order->reason});
}

Result<> Api::unlock(const Call& call) {
    auto order = read_order(call);
    if (!order)
        return std::unexpected{order.error()};
    return put(call, core::UnlockAsked{0, order->session, caller_name(call), order->reason});
}

Result<> Api::terminate(const Call& call) {
    auto order = read_order(call);
    if (!order)
        return std::unexpected{order.error()};
    return put(call, core::TerminateAsked{0, order->session, caller_name(call), order->reason});
}

} // namespace vigil::bus
