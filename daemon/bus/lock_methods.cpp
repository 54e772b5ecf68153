// What vigil-lock asks and tells, and the code that pam_vigil.so takes for it.

#include "base/clock.hpp"
#include "base/console.hpp"
#include "base/log.hpp"
#include "daemon/bus/parse.hpp"
#include "daemon/bus/source.hpp"
#include "daemon/enforce/paused.hpp"
#include "daemon/enforce/scope.hpp"
#include "wire/screen.hpp"

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
    const bool is_too_long = reason ? reason->size() > wire::max_reason_bytes
                                    : reason.error().code == EBADMSG; // for any text
    if (is_too_long)
        return fail(wire::code_invalid, "The reason is too long: at most " +
                                            std::to_string(wire::max_reason_bytes) + " bytes.");
    if (!reason)
        return std::unexpected{reason.error()};
    return Order{*session, std::move(*reason)};
}

std::string holder_warning(const enforce::ForeignHolder& holder) {
    return "Process " + std::to_string(holder.pid) + " (" + base::escape(holder.command, 64) +
           (holder.escaped        ? ") was taken out of the lock and may read this terminal"
            : holder.path.empty() ? ") outside this session cannot be looked through"
                                  : ") outside this session reads this terminal too") +
           ": no password is taken here.";
}

/// The name by which people know the program whose server reads a session's terminal: by the
/// process's name, which its owner can choose; then he misleads himself. "": none.
std::string multiplexer_of(const std::vector<enforce::ForeignHolder>& readers) {
    for (const auto& reader : readers) {
        if (reader.command == "tmux: server")
            return "tmux";
        if (reader.command == "screen")
            return "screen";
    }
    return {};
}

/// Where nothing can be proved.
std::string way_out(const std::vector<enforce::ForeignHolder>& readers, std::string_view terminal) {
    const auto multiplexer = multiplexer_of(readers);
    // It outlives the connection, because it is another session's; a console has none to close.
    if (!multiplexer.empty() && base::virtual_console(terminal) == 0)
        return "Close the connection and log in again: what runs in " + multiplexer +
               " is not lost.";
    return "Nothing can be proved here: an administrator unlocks it with `vigilctl unlock`.";
}

/// The most that are told by name.
constexpr std::size_t max_programs_named = 3;
/// Without a time: it would be wrong as soon as it is shown.
std::string text_of(const std::string& going_on) {
    return base::escape(going_on, enforce::max_program_name_bytes);
}

template <typename Program>
void name_some(const std::vector<Program>& programs, std::vector<std::string>& names,
               std::uint64_t& more) {
    const auto named = std::min(programs.size(), max_programs_named);
    for (std::size_t i = 0; i < named; ++i)
        names.push_back(text_of(programs[i]));
    more = programs.size() - named;
}

/// `terminal`: where it is asked; nullopt: not at one that is held. `asker`: by whom it was locked.
void tell_programs(wire::LockInfo& info, const core::SessionRecord& record,
                   const std::optional<core::SavedTerminal>& terminal, const base::Process& asker) {
    if (record.cgroup.empty())
        return;
    const auto processes = enforce::processes_under_lock(record.cgroup, record.leader.pid);
    name_some(enforce::paused_programs(processes, record.locked_since, asker), info.paused,
              info.paused_more);
    name_some(enforce::programs_going_on(processes), info.goes_on, info.goes_on_more);
    // Said before anything stands still there, too: a prompt comes while the lock is being made.
    info.held = record.cgroup + "/" + enforce::frozen_child;
    info.leader = static_cast<std::uint32_t>(record.leader.pid);
    if (!terminal)
        return;
    const auto jobs = enforce::jobs_at(processes, terminal->device);
    info.shell = static_cast<std::uint32_t>(jobs.shell);
    info.foreground = static_cast<std::uint32_t>(jobs.foreground);
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
            (!core::takes_codes(*view.record) || !factors_ ||
             !factors_->active(view.record->facts.uid).value_or(factors::Factors::Active{}).totp))
            continue;
        taken.push_back(factor);
    }
    return taken;
}

/// What is taken as a proof at this terminal, and what stands in the way of one.
void Api::tell_proofs(wire::LockInfo& info, const core::SessionView& view,
                      const std::string& terminal, Microseconds age) {
    const auto& record = *view.record;
    const auto readers = shell_.foreign_holders(record.id, age);
    for (const auto factor : unlock_factors(view, readers))
        info.factors.emplace_back(policy::to_text(factor));
    for (const auto& holder : readers)
        info.warnings.push_back(holder_warning(holder));
    if (!core::takes_codes(record) &&
        std::ranges::count(view.decision->unlock, policy::Factor::totp))
        info.warnings.push_back("After " + std::to_string(core::most_guesses) +
                                " wrong answers no code is taken here.");
    if (info.factors.empty())
        info.warnings.push_back(way_out(readers, terminal));
}

Result<> Api::lock_info(const Call& call) {
    const auto id = read_session(call);
    if (!id)
        return std::unexpected{id.error()};
    const auto terminal = read<std::string>(call);
    if (!terminal)
        return std::unexpected{terminal.error()};
    // What is drawn first is seen some time later anyhow: it has the look that is made for the
    // lock. Whoever answers asks again, and for him it is looked anew.
    const auto saved = shell_.saved_terminal(*id, *terminal);
    core::Token token = 0;
    if (saved && shell::Shell::is_undrawn(*saved))
        token = shell_.expect([this, call, id = *id, terminal = *terminal](const shell::Reply&) {
            tell_lock(call, id, terminal, shell::first_drawn_age);
        });
    if (token != 0)
        shell_.dispatch(core::PromptAsks{token, *id});
    else
        tell_lock(call, *id, *terminal, Microseconds{0});
    return {};
}

void Api::tell_lock(const Call& call, const core::SessionId& id, const std::string& terminal,
                    Microseconds age) {
    wire::LockInfo info;
    const auto view = shell_.machine().view(id);
    if (view && view->record->state == core::State::locked) {
        const auto& record = *view->record;
        const auto now = base::read_clocks();
        info.locked = true;
        info.user = record.facts.user;
        info.host = host_name();
        info.locked_by = core::lock_text(record);
        info.locked_since = wire_time(record.locked_since_wall);
        if (view->next_action == "terminate")
            info.ends_at = wire_time(now.wall + (view->next_at - now.boot));
        if (record.unlock_not_before > now.boot)
            info.wait_seconds = static_cast<std::uint64_t>(
                std::chrono::ceil<Seconds>(record.unlock_not_before - now.boot).count());
        tell_proofs(info, *view, terminal, age);
        const auto saved = shell_.saved_terminal(id, terminal);
        const auto asker = askers_.find(id);
        tell_programs(info, record, saved,
                      asker == askers_.end() ? base::Process{} : asker->second);
        // The last, because the core hears of it.
        info.ask_screen = saved && shell_.ask_screen(*saved);
    }
    reply(call, [&](auto& sink) { return wire::append(sink, info); });
}

void Api::prove_unlock(const Call& call, const wire::StepUpRequest& request,
                       const wire::Proof& proof) {
    wire::ProveReply result{.verdict = wire::ProveReply::Verdict::denied,
                            .text = "Nothing is locked here."};
    const auto id = shell_.locked_at(request.login.terminal);
    const auto view = id ? shell_.machine().view(*id) : std::nullopt;
    if (view && view->record->facts.user == request.login.user && proof.factor == "totp" &&
        std::ranges::count(unlock_factors(*view, {}), policy::Factor::totp)) {
        // Counted for the session (UnlockFailed): whoever sits there must not take the owner's
        // codes from him elsewhere.
        const auto checked = factors_->check_totp(view->record->facts.uid, source_of(view),
                                                  proof.answer, proof.attempt, base::read_clocks(),
                                                  factors::Factors::Counted::by_caller);
        using Verdict = factors::CheckOutcome::Verdict;
        if (!checked)
            result.text = "vigil cannot check codes now.";
        else if (checked->verdict == Verdict::accepted)
            result = {.verdict = wire::ProveReply::Verdict::accepted};
        else
            result = {.verdict = wire::ProveReply::Verdict::wrong};
    }
    reply(call, [&](auto& sink) { return wire::append(sink, result); });
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
    return put(call, core::UnlockAsked{0, *id, *proved + " at " + *terminal, {}});
}

Result<> Api::unlock_failed(const Call& call) {
    const auto id = read_session(call);
    if (!id)
        return std::unexpected{id.error()};
    return put(call, core::UnlockRefused{0, *id});
}

Result<> Api::screen_seen(const Call& call) {
    const auto id = read_session(call);
    if (!id)
        return std::unexpected{id.error()};
    const auto terminal = read<std::string>(call);
    const auto text = read<std::string>(call);
    const auto screen = text ? wire::screen_from_text(*text) : std::nullopt;
    const auto word = read<std::string>(call);
    const auto cursor = word ? wire::cursor_from_text(*word) : std::nullopt;
    if (!terminal || !screen || !cursor)
        return fail(wire::code_invalid,
                    "ScreenSeen takes a session, a terminal, a screen and a cursor.");
    shell_.screen_seen(*id, *terminal, *screen, *cursor);
    reply(call, [](auto&) { return Result<>{}; });
    return {};
}

/// It stands still before it has its answer, where it is in the session itself. Not written down:
/// behind a restart it is told as any other program.
void Api::note_asker(const Call& call, const core::SessionId& id) {
    std::erase_if(askers_, [&](const auto& one) { return !shell_.machine().view(one.first); });
    const auto stat = call.pid > 0 ? base::read_process_stat(call.pid) : fail(ESRCH, "nobody");
    if (stat && shell_.machine().view(id))
        askers_[id] = {.pid = stat->pid, .start_time = stat->start_time};
    else
        askers_.erase(id);
}

std::string Api::orderer(const Call& call) const {
    auto name = caller_name(call);
    const auto id = call.uid == 0 && call.pid > 0 ? shell_.session_of(call.pid) : std::nullopt;
    const auto view = id ? shell_.machine().view(*id) : std::nullopt;
    if (!view || view->record->facts.uid == call.uid)
        return name;
    return name + " (login of " + view->record->facts.user + ")";
}

Result<> Api::lock(const Call& call) {
    auto order = read_order(call);
    if (!order)
        return std::unexpected{order.error()};
    note_asker(call, order->session);
    return put(call, core::LockAsked{0, order->session, "by " + orderer(call), order->reason});
}

Result<> Api::lock_for_sleep(const Call& call) {
    return put(call, core::SleepAsked{0});
}

Result<> Api::unlock(const Call& call) {
    auto order = read_order(call);
    if (!order)
        return std::unexpected{order.error()};
    return put(call, core::UnlockAsked{0, order->session, orderer(call), order->reason});
}

Result<> Api::terminate(const Call& call) {
    auto order = read_order(call);
    if (!order)
        return std::unexpected{order.error()};
    return put(call, core::TerminateAsked{0, order->session, orderer(call), order->reason});
}

} // namespace vigil::bus
