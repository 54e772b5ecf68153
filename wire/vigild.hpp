#pragma once
#include "base/dbus_message.hpp"
#include "base/time.hpp"
#include "wire/codec.hpp"
#include "wire/names.hpp"

#include <functional>
#include <string>

namespace vigil::wire {

/// vigild, as root's programs on the login path see it, over the direct socket. All calls made
/// through one object share what is left of wire::machine_timeout; what a person takes to answer in
/// between does not count. Each call has its own connection: none is held while a person is typing.
class Vigild {
public:
    using Fill = std::function<Result<>(base::ValueSink&)>;

    /// `left`: of machine_timeout, where earlier entry points have used some of it up; or more,
    /// for an answer that a person gives. `cancel`: what ends a wait with ECANCELED
    /// (base/dbus_client.hpp).
    Vigild(std::string socket, Microseconds left, int cancel = -1)
        : socket_{std::move(socket)}, left_{left}, cancel_{cancel} {}

    /// `fill` writes the arguments. A call that lost its connection is made again, because vigild
    /// may just be restarting. Every method of the login path bears being repeated.
    Result<base::DbusMessage> call(const char* interface, const char* method, const Fill& fill);

    Microseconds left() const noexcept { return left_; }
    const std::string& socket() const noexcept { return socket_; }

private:
    std::string socket_;
    Microseconds left_;
    int cancel_;
};

/// Whether a call failed because vigild is down: nobody listens, or hangs up each time. Anything
/// else failed here, or is vigild's own answer, and may be the doing of whoever asks: too few
/// descriptors, a command beyond all bounds, or time that passed while he had su stopped, whose
/// real uid is his (kill(2)).
bool is_down(const Error& error) noexcept;

/// The value of a reply.
template <typename Value>
Result<Value> read_reply(const Result<base::DbusMessage>& reply) {
    if (!reply)
        return std::unexpected{reply.error()};
    auto reader = reply->reader();
    return read<Value>(reader);
}

} // namespace vigil::wire
