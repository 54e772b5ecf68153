#include "daemon/bus/parse.hpp"

namespace vigil::bus {

Result<Brought> read_process(const Call& call) {
    auto pidfd = wire::read_fd(call.arguments());
    if (!pidfd)
        return fail(wire::code_invalid, pidfd.error().what);
    auto stat = base::stat_of_pidfd(pidfd->get());
    if (!stat)
        return fail(wire::code_invalid, stat.error().text());
    const base::Process process{.pid = stat->pid, .start_time = stat->start_time};
    return Brought{std::move(*pidfd), process, std::move(*stat)};
}

Result<core::SessionId> read_session(const Call& call) {
    const auto text =
        call.session.empty() ? read<std::string>(call) : Result<std::string>{call.session};
    if (!text)
        return std::unexpected{text.error()};
    const auto id = core::SessionId::from_text(*text);
    if (!id)
        return fail(wire::code_invalid, "That is no session's id: it has 32 hex digits.");
    return *id;
}

} // namespace vigil::bus
