// The login path: pam_vigil.so's account and session phases.

#include "base/console.hpp"
#include "daemon/bus/parse.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/shell/facts.hpp"

namespace vigil::bus {

namespace {

/// Where the kernel has it sit, and who runs it: the way back in hangs on no field of a message.
bool is_roots_at_console(const Brought& leader) {
    const auto stat = base::read_process_stat(leader.pid());
    const auto uid = base::read_real_uid(leader.pid());
    return stat && uid && *uid == 0 && base::is_console(stat->terminal) && !leader.has_ended();
}

} // namespace

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
        reply(call, [](auto* message) {
            return wire::append(
                message, wire::ReserveReply{.verdict = wire::ReserveReply::Verdict::not_a_login});
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

} // namespace vigil::bus
