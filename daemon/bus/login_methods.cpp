// The login path: pam_vigil.so's account and session phases.

#include "base/clock.hpp"
#include "base/console.hpp"
#include "daemon/bus/parse.hpp"
#include "daemon/enforce/elevated.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/enforce/terminal_file.hpp"
#include "daemon/shell/facts.hpp"
#include "wire/login_mark.hpp"

namespace vigil::bus {

bool is_roots_at_console(const Brought& leader) {
    const auto stat = base::read_process_stat(leader.pid());
    const auto uid = base::read_real_uid(leader.pid());
    return stat && uid && *uid == 0 && base::is_console(stat->terminal) && !leader.has_ended();
}

namespace {

/// "pts/3"; "" for none.
std::string terminal_name(std::uint64_t device) {
    constexpr std::size_t dev = 5; // "/dev/"
    const auto terminal = device == 0 ? fail("none") : enforce::terminal_of(device);
    return terminal ? terminal->path.substr(dev) : std::string{};
}

} // namespace

/// Without any policy nobody can prove anything, and PAM's auth phase lets nobody past it: whoever
/// is here was not there.
bool Api::has_skipped_proof(const wire::Login& login) const {
    return !policy_.usable() &&
           wire::needs_proof_by_mark(policy_.runtime() + "/", {.user = login.user,
                                                               .uid = login.uid,
                                                               .groups = &login.groups,
                                                               .service = login.service});
}

Result<> Api::reserve(const Call& call) {
    const auto leader = read_process(call);
    if (!leader)
        return std::unexpected{leader.error()};
    const auto login = read<wire::Login>(call);
    if (!login)
        return std::unexpected{login.error()};
    // passwd, chsh and their like run inside a session: no login.
    const auto inside = enforce::logind_session_of(leader->pid());
    if (leader->has_ended())
        return fail(wire::code_invalid, "The process that logs in has ended.");
    if (inside) {
        reply(call, [](auto& sink) {
            return wire::append(
                sink, wire::ReserveReply{.verdict = wire::ReserveReply::Verdict::not_a_login});
        });
        return {};
    }
    if (has_skipped_proof(*login)) {
        const auto blocked = shell_.machine().why_blocked(login->uid, base::read_clocks());
        reply(call, [&](auto& sink) {
            return wire::append(sink,
                                wire::ReserveReply{.verdict = wire::ReserveReply::Verdict::refused,
                                                   .reason = blocked.value_or(no_policy),
                                                   .max_seconds = 0});
        });
        return {};
    }
    return put(call, core::ReserveAsked{.token = 0,
                                        .fresh_id = shell_.fresh_id(),
                                        .facts = shell::facts_of(*login),
                                        .pam_terminal = login->terminal,
                                        .remote_host = login->remote_host,
                                        .leader = leader->process,
                                        .at_console = is_roots_at_console(*leader)});
}

Result<> Api::prepare(const Call& call) {
    const auto leader = read_process(call);
    if (!leader)
        return std::unexpected{leader.error()};
    return put(call, core::PrepareAsked{0, leader->process});
}

Result<> Api::confirm(const Call& call) {
    const auto leader = read_process(call);
    if (!leader)
        return std::unexpected{leader.error()};
    const auto login = read<wire::Login>(call);
    if (!login)
        return std::unexpected{login.error()};
    core::ConfirmAsked asked{.token = 0,
                             .fresh_id = shell_.fresh_id(),
                             .facts = shell::facts_of(*login),
                             .pam_terminal = login->terminal,
                             .remote_host = login->remote_host,
                             .leader = leader->process,
                             .logind_session = {},
                             .cgroup = {}};
    asked.facts.session_class = policy::SessionClass::command;
    // No logind on this host, or none for this login: it is listed and ends, but cannot be locked.
    if (const auto id = enforce::logind_session_of(leader->pid())) {
        asked.logind_session = *id;
        if (const auto session = enforce::logind_session(*id)) {
            asked.cgroup = session->scope;
            if (enforce::is_graphical(session->type))
                asked.facts.session_class = policy::SessionClass::graphical;
        }
    }
    // Another's session, looked up under a number that was free meanwhile, would be held for his.
    if (leader->has_ended())
        return fail(wire::code_invalid, "The process that logs in has ended.");
    return put(call, std::move(asked));
}

Result<> Api::release(const Call& call) {
    const auto leader = read_process(call);
    if (!leader)
        return std::unexpected{leader.error()};
    return put(call, core::ReleaseAsked{0, leader->process});
}

/// Nobody is refused anything here: whatever is not to have a clock of its own gets no id.
Result<> Api::elevated(const Call& call) {
    const auto leader = read_process(call);
    if (!leader)
        return std::unexpected{leader.error()};
    const auto service = read<std::string>(call);
    const auto run_as = read<std::string>(call);
    if (!service || !run_as || service->size() > wire::max_service_bytes ||
        run_as->size() > wire::max_user_bytes)
        return fail(wire::code_invalid, "That is no service, or no user.");
    const auto no_clock = [&] {
        reply(call, [](auto& sink) { return wire::append_text(sink, {}); });
        return Result<>{};
    };
    if (!shell_.machine().watches_elevated())
        return no_clock();
    const auto login = shell_.session_of(leader->pid());
    const auto view = login ? shell_.machine().view(*login) : std::nullopt;
    const auto cgroup = base::running_cgroup_of(leader->pid());
    const auto stat = base::read_process_stat(leader->pid());
    if (leader->has_ended())
        return fail(wire::code_invalid, "The process that was started has ended.");
    // A unit of the user's own manager is in no scope of a login's.
    if (!view || !cgroup || !stat || !base::is_within(*cgroup, view->record->cgroup))
        return no_clock();
    const auto part = enforce::elevated_part(view->record->cgroup, *cgroup);
    return put(call, core::ElevatedAsked{.token = 0,
                                         .fresh_id = shell_.fresh_id(),
                                         .login = *login,
                                         .service = *service,
                                         .run_as = *run_as,
                                         .leader = leader->process,
                                         .terminal = terminal_name(stat->terminal),
                                         .around = view->record->cgroup + part,
                                         .depth = enforce::elevated_depth(part)});
}

} // namespace vigil::bus
