#pragma once
// The codec for messages of sd-bus: vigild's, vigilctl's and vigil-lock's.

#include "base/bus_values.hpp"
#include "wire/codec.hpp"

namespace vigil::wire {

template <typename Value>
Result<> append(sd_bus_message* message, const Value& value) {
    base::BusSink sink{message};
    return append(sink, value);
}

inline Result<> append_fd(sd_bus_message* message, int fd) {
    base::BusSink sink{message};
    return append_fd(sink, fd);
}

inline Result<> append_text(sd_bus_message* message, const std::string& text) {
    base::BusSink sink{message};
    return append_text(sink, text);
}

template <typename Value>
Result<Value> read(sd_bus_message* message) {
    base::BusSource source{message};
    return read<Value>(source);
}

inline Result<base::UniqueFd> read_fd(sd_bus_message* message) {
    base::BusSource source{message};
    return read_fd(source);
}

} // namespace vigil::wire
