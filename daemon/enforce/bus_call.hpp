#pragma once
// A call on a bus whose answer only matters if it is a failure.

#include "base/error.hpp"
#include "base/systemd.hpp"

#include <functional>
#include <string>

namespace vigil::enforce {

struct Destination {
    const char* name;
    const char* path;
    const char* interface;
};

inline constexpr Destination login_manager{"org.freedesktop.login1", "/org/freedesktop/login1",
                                           "org.freedesktop.login1.Manager"};

/// Told the D-Bus error's name and a line for a person.
using CallFailed = std::function<void(const std::string& name, const std::string& line)>;

Result<base::BusMessage> new_call(sd_bus* bus, const Destination& destination, const char* method);

/// Sends it and returns. `failed` is called from the loop, or never; it must not outlive what it
/// refers to, so give it values.
Result<> send_call(sd_bus* bus, const base::BusMessage& call, std::string doing, CallFailed failed);

} // namespace vigil::enforce
