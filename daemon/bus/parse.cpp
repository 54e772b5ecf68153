#include "daemon/bus/parse.hpp"

namespace vigil::bus {

Result<Brought> read_process(const Call& call) {
    auto pidfd = wire::read_fd(call.get());
    if (!pidfd)
        return fail(wire::code_invalid, pidfd.error().what);
    const auto process = base::process_of_pidfd(pidfd->get());
    if (!process)
        return fail(wire::code_invalid, process.error().text());
    return Brought{std::move(*pidfd), *process};
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
