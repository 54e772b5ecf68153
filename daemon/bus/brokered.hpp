#pragma once
// org.vigil1 on a broker's bus.

#include "base/systemd.hpp"
#include "daemon/bus/api.hpp"

namespace vigil::bus {

/// Calls of one broker waiting to learn their caller; beyond that they are refused at once.
inline constexpr std::size_t max_asking = 4096;

struct Endpoint {
    Api* api = nullptr;
    std::size_t asking = 0; ///< calls whose caller the broker is being asked for
};

/// Adds the objects to the connection. `endpoint` outlives it.
Result<> attach(sd_bus* bus, Endpoint& endpoint);

} // namespace vigil::bus
