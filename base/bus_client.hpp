#pragma once
// A short-lived connection to vigild's direct socket, for programs on the login path: every step
// (connect, handshake, call) shares ONE deadline, so a dead or stopped daemon costs its time and no
// more. sd_bus_call(3)'s own timeout does not cover the handshake (25 s), hence this file.

#include "base/error.hpp"
#include "base/systemd.hpp"
#include "base/time.hpp"

#include <string>

namespace vigil::base {

/// Starts connecting to the system broker, which the caller's loop or calls finish, as
/// sd_bus_open_system(3) does. No descriptor comes over it: anybody may send one, and to close a
/// file of a file system of the sender's own can be to wait for him for ever (FUSE's FLUSH), where
/// no signal helps. The broker passes such a message on to nobody who has not agreed to it.
Result<Bus> open_system_bus();

/// PID 1's own socket.
inline constexpr const char* service_manager_socket = "/run/systemd/private";

/// Starts connecting to PID 1's own socket, with no broker between; it takes root alone, as
/// systemctl does. EPERM: the system bus is another than the machine's (DBUS_SYSTEM_BUS_ADDRESS),
/// and so may PID 1 be.
Result<Bus> open_service_manager(const char* socket = service_manager_socket);

class BusClient {
public:
    /// `path`: the socket. `deadline`: on CLOCK_BOOTTIME, for everything this object ever does.
    /// Errors: ENOENT, ECONNREFUSED (no daemon), ETIMEDOUT, ECONNRESET (it hung up), EMFILE and
    /// kin.
    static Result<BusClient> connect(const char* path, BootTime deadline);

    /// Connects to the system broker, to talk to `destination` there; same deadline rules.
    static Result<BusClient> connect_system(const char* destination, BootTime deadline);

    /// A method call to be filled and given to call().
    Result<BusMessage> message(const char* object, const char* interface, const char* method) const;

    /// Waits for the reply at most until the deadline. A D-Bus error reply becomes an Error whose
    /// code is sd_bus_error_get_errno(3) and whose text is the error's message.
    Result<BusMessage> call(BusMessage request);

    sd_bus* get() const noexcept { return bus_.get(); }

private:
    BusClient(Bus bus, BootTime deadline, std::string destination) noexcept
        : bus_{std::move(bus)}, deadline_{deadline}, destination_{std::move(destination)} {}

    Bus bus_;
    BootTime deadline_;
    std::string destination_; ///< empty on a direct socket
};

} // namespace vigil::base
