#pragma once
#include <string>

namespace vigil::wire {

/// Where something of this name is beside vigild's socket: the marks are there.
inline std::string beside(const std::string& socket, const char* name) {
    return socket.substr(0, socket.rfind('/') + 1) + name;
}

} // namespace vigil::wire
