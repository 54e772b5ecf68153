#pragma once
// A method call as it came, whoever carries it: sd-bus from the system's broker (brokered.cpp), or
// a connection to the direct socket (server.cpp).

#include "base/error.hpp"
#include "base/values.hpp"

#include <functional>
#include <string>

#include <systemd/sd-bus.h>

namespace vigil::bus {

class Incoming {
public:
    using Fill = std::function<Result<>(base::ValueSink&)>;

    Incoming() = default;
    Incoming(const Incoming&) = delete;
    Incoming& operator=(const Incoming&) = delete;
    virtual ~Incoming() = default;

    virtual const char* path() const noexcept = 0;
    virtual const char* interface() const noexcept = 0; ///< "": whichever has such a method
    virtual const char* member() const noexcept = 0;
    virtual const char* signature() const noexcept = 0;
    /// What was not read yet.
    virtual base::ValueSource& arguments() noexcept = 0;
    virtual bool rewind() = 0;

    // One of the two, once. That nobody hears it any more is no error.
    /// Errors: the answer could not be built, and nothing was sent.
    virtual Result<> answer(const Fill& fill) = 0;
    virtual void refuse(const char* error, const std::string& text) = 0;

    /// The same as a message of the broker's; null: no broker stands in between.
    virtual sd_bus_message* brokered() const noexcept { return nullptr; }
};

} // namespace vigil::bus
