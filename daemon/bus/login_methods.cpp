// The login path: pam_vigil.so's account and session phases.

#include "daemon/bus/api.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/shell/facts.hpp"
#include "wire/codec.hpp"

namespace vigil::bus {

namespace {

/// The process a login hangs on. Its number comes out of the kernel, by the pidfd.
Result<base::Process> read_leader(sd_bus_message* message) {
    const auto pidfd = wire::read_fd(message);
    if (!pidfd)
        return std::unexpected{pidfd.error()};
    return base::process_of_pidfd(pidfd->get());
}

} // namespace

Result<> Api::reserve(const Call& call) {
    const auto leader = read_leader(call.get());
    if (!leader)
        return std::unexpected{leader.error()};
    const auto login = wire::read<wire::Login>(call.get());
    if (!login)
        return std::unexpected{login.error()};
    // passwd, chsh and their like run inside a session: no login.
    if (enforce::logind_session_of(leader->pid)) {
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
                                        .leader = *leader});
}

Result<> Api::prepare(const Call& call) {
    const auto leader = read_leader(call.get());
    if (!leader)
        return std::unexpected{leader.error()};
    return put(call, core::PrepareAsked{0, *leader});
}

Result<> Api::confirm(const Call& call) {
    const auto leader = read_leader(call.get());
    if (!leader)
        return std::unexpected{leader.error()};
    const auto login = wire::read<wire::Login>(call.get());
    if (!login)
        return std::unexpected{login.error()};
    core::ConfirmAsked asked{.token = 0,
                             .fresh_id = shell_.fresh_id(),
                             .facts = shell::facts_of(*login),
                             .pam_terminal = login->terminal,
                             .remote_host = login->remote_host,
                             .leader = *leader,
                             .logind_session = {},
                             .cgroup = {}};
    asked.facts.session_class = policy::SessionClass::command;
    // No logind on this host, or none for this login: it is listed and ends, but cannot be locked.
    if (const auto id = enforce::logind_session_of(leader->pid)) {
        asked.logind_session = *id;
        if (const auto session = enforce::logind_session(*id)) {
            asked.cgroup = session->scope;
            if (session->type == "x11" || session->type == "wayland")
                asked.facts.session_class = policy::SessionClass::graphical;
        }
    }
    return put(call, std::move(asked));
}

Result<> Api::release(const Call& call) {
    const auto leader = read_leader(call.get());
    if (!leader)
        return std::unexpected{leader.error()};
    return put(call, core::ReleaseAsked{0, *leader});
}

} // namespace vigil::bus
