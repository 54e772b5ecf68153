#pragma once
#include "base/bus_client.hpp"
#include "wire/names.hpp"

#include <functional>
#include <string>

namespace vigil::pam {

/// vigild, as one entry point of the module sees it. All calls made through one object share
/// wire::machine_timeout; what a person takes to answer in between does not count. Each call has
/// its own connection: none is held while a person is typing.
class Vigild {
public:
    using Fill = std::function<Result<>(sd_bus_message*)>;

    explicit Vigild(std::string socket) : socket_{std::move(socket)} {}

    /// `fill` may run more than once: a call that lost its connection is made again, because
    /// vigild may just be restarting. Every method of the login path bears being repeated.
    Result<base::BusMessage> call(const char* interface, const char* method, const Fill& fill);

private:
    std::string socket_;
    Microseconds left_ = wire::machine_timeout;
};

} // namespace vigil::pam
