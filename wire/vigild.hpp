#pragma once
#include "base/bus_client.hpp"
#include "wire/names.hpp"

#include <functional>
#include <string>

namespace vigil::wire {

/// vigild, as root's programs on the login path see it, over the direct socket. All calls made
/// through one object share what is left of wire::machine_timeout; what a person takes to answer in
/// between does not count. Each call has its own connection: none is held while a person is typing.
class Vigild {
public:
    using Fill = std::function<Result<>(sd_bus_message*)>;

    /// `left`: of machine_timeout, where earlier entry points have used some of it up.
    Vigild(std::string socket, Microseconds left) : socket_{std::move(socket)}, left_{left} {}

    /// `fill` may run more than once: a call that lost its connection is made again, because
    /// vigild may just be restarting. Every method of the login path bears being repeated.
    Result<base::BusMessage> call(const char* interface, const char* method, const Fill& fill);

    Microseconds left() const noexcept { return left_; }

private:
    std::string socket_;
    Microseconds left_;
};

} // namespace vigil::wire
