#pragma once
// A call over a D-Bus socket that has no broker behind it, within ONE deadline and without
// libsystemd: for modules that other programs load, to whom a library and its own libraries would
// cost more than the call. base/bus_client.hpp is the same over sd-bus, for programs.

#include "base/dbus_message.hpp"
#include "base/time.hpp"
#include "base/unique_fd.hpp"

namespace vigil::base {

class DbusClient {
public:
    /// Connects; nothing is said yet. `deadline`: on CLOCK_BOOTTIME, for everything this object
    /// ever does. `cancel`: a descriptor, the caller's, that ends every wait with ECANCELED once
    /// it is readable; -1: none. Errors: as of connect_socket().
    static Result<DbusClient> connect(const char* path, BootTime deadline, int cancel = -1);

    /// Shakes hands and asks; once. Errors: ETIMEDOUT, ECONNRESET (it hung up, however far it had
    /// come), EBADMSG, EMSGSIZE, ECANCELED; and EIO for an error reply, with the peer's words.
    Result<DbusMessage> call(const DbusCall& what, const DbusWriter& arguments);

    int socket() const noexcept { return socket_.get(); }

private:
    DbusClient(UniqueFd socket, BootTime deadline, int cancel) noexcept
        : socket_{std::move(socket)}, deadline_{deadline}, cancel_{cancel} {}

    Result<> wait_for(short events) const;
    Result<> send(std::string_view header, const DbusWriter& arguments) const;
    Result<> receive();
    Result<> shake_hands();
    Result<std::string> read_line();
    Result<DbusMessage> read_message();

    UniqueFd socket_;
    BootTime deadline_;
    int cancel_;
    std::string received_; ///< and not looked at yet
};

} // namespace vigil::base
