// The host as a whole.

#include "base/clock.hpp"
#include "daemon/bus/api.hpp"
#include "wire/codec.hpp"

namespace vigil::bus {

Result<> Api::status(const Call& call) {
    wire::Status status;
    status.version = VIGIL_VERSION;
    status.mode = policy::to_text(shell_.machine().mode());
    status.policy_path = policy_.path();
    status.policy_loaded = wire_time(policy_.loaded());
    status.started = wire_time(started_);
    // The line of a broken policy can quote it: for who is shown everything.
    const auto told = [&](const std::string& error) {
        return error.empty() || !call.shown ? error : std::string{"see the journal"};
    };
    status.policy_error = told(policy_.error());
    status.store_error = told(shell_.store_error());
    status.factors_error = told(factors_error_);
    status.degraded =
        !policy_.error().empty() || !shell_.store_error().empty() || !factors_error_.empty();
    for (const auto& view : shell_.machine().list()) {
        ++status.sessions;
        status.locked += view.record->state == core::State::locked ? 1 : 0;
    }
    status.grants = static_cast<std::uint32_t>(shell_.machine().grant_count());
    reply(call, [&](auto* message) { return wire::append(message, status); });
    return {};
}

Result<> Api::reload(const Call& call) {
    auto loaded = policy_.reload(base::read_clocks().wall);
    const auto error = loaded ? std::string{} : loaded.error().text();
    if (loaded)
        shell_.dispatch(core::PolicyChanged{std::move(*loaded)});
    reply(call, [&](auto* message) { return wire::append_text(message, error); });
    return {};
}

} // namespace vigil::bus
