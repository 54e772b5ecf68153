#pragma once
// PID 1, asked over its own socket as systemctl of root's does, and never over the system bus:
// while a broker is away or hangs, a lock that nobody asks at would keep its user out, and show
// what was on the screen.

#include "base/bus_client.hpp"
#include "daemon/enforce/bus_call.hpp"

namespace vigil::enforce {

/// The connection is there for as long as an answer is awaited. Over each that is open PID 1 sends
/// all its signals, wanted or not, and keeps in its memory, without a bound, what is not taken: one
/// that stayed would wake vigild whenever a unit changes, and a vigild that hung would bloat PID 1.
class ServiceManager {
public:
    /// `loop` outlives this; `socket`: PID 1's. Throws std::runtime_error if the loop takes no
    /// source.
    explicit ServiceManager(sd_event* loop, const char* socket = base::service_manager_socket);
    ServiceManager(const ServiceManager&) = delete;
    ServiceManager& operator=(const ServiceManager&) = delete;

    /// Whether it takes a connection, without waiting for a word of it. Errors: ENOENT or
    /// ECONNREFUSED while PID 1 makes its socket anew, EAGAIN if too many wait there, ECONNRESET:
    /// it has hung up, and not all who wait for an answer have been told yet.
    Result<> reach();

    /// A call of its Manager, to be filled and given to send() at once. Errors: as of reach().
    Result<base::BusMessage> new_call(const char* method);

    /// As send_call(). That PID 1 hangs up (it does when it executes itself anew) or is silent for
    /// sd-bus's 25 s is a failure, too.
    Result<> send(const base::BusMessage& call, std::string doing, CallFailed failed);

private:
    void answered() noexcept;
    static int on_quiet(sd_event_source*, void* userdata) noexcept;

    sd_event* loop_;
    const char* socket_;
    base::EventSource quiet_; ///< closes what nobody waits for, outside of its own callbacks
    unsigned awaited_ = 0;
    base::Bus bus_; ///< the last: its end is that of what is awaited
};

} // namespace vigil::enforce
