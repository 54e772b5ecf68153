#include "wire/vigild.hpp"

#include "base/clock.hpp"
#include "base/dbus_client.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include <sys/socket.h>

namespace vigil::wire {

namespace {

using std::chrono_literals::operator""ms;

constexpr auto pause = 50ms;
constexpr auto patience_when_refused = 200ms;
constexpr int most_connections_lost = 2; // a request that kills vigild is not sent for ever

/// A code is for root's ears alone, whoever has got hold of the path.
Result<> check_peer(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return fail(EPERM, "looking who listens on the socket");
    if (peer.uid != 0)
        return fail(EPERM, "the socket belongs to uid " + std::to_string(peer.uid));
    return {};
}

Result<base::DbusMessage> call_once(const std::string& socket, BootTime deadline, int cancel,
                                    const base::DbusCall& what, const base::DbusWriter& arguments) {
    auto client = base::DbusClient::connect(socket.c_str(), deadline, cancel);
    if (!client)
        return std::unexpected{client.error()};
    if (const auto checked = check_peer(client->socket()); !checked)
        return std::unexpected{checked.error()};
    return client->call(what, arguments);
}

bool is_connection_lost(int code) noexcept {
    return code == ECONNRESET || code == ENOTCONN || code == EPIPE;
}

} // namespace

bool is_down(const Error& error) noexcept {
    switch (error.code) {
    case ENOENT: // no socket
    case ENOTDIR:
    case ECONNREFUSED:
    case ECONNRESET:
    case ENOTCONN:
    case EPIPE:
        return true;
    default:
        return false;
    }
}

Result<base::DbusMessage> Vigild::call(const char* interface, const char* method,
                                       const Fill& fill) {
    if (left_ <= Microseconds{0})
        return fail(ETIMEDOUT, "it has had its time in this login already");
    base::DbusWriter arguments;
    if (const auto filled = fill(arguments); !filled)
        return std::unexpected{filled.error()};
    const base::DbusCall what{.path = manager_path, .interface = interface, .member = method};
    const BootTime begun = base::read_boot_time();
    const BootTime deadline = begun + left_;
    const BootTime patient_until =
        std::min(deadline - machine_timeout, begun) + patience_when_refused;
    int lost = 0;
    while (true) {
        auto reply = call_once(socket_, deadline, cancel_, what, arguments);
        const BootTime now = base::read_boot_time();
        const bool again =
            !reply && now + pause < deadline &&
            ((is_connection_lost(reply.error().code) && ++lost <= most_connections_lost) ||
             // The socket is systemd's: refused means that it is just being made anew, or that
             // vigil was stopped. No socket at all (ENOENT) is an answer.
             (reply.error().code == ECONNREFUSED && now < patient_until));
        if (again) {
            std::this_thread::sleep_for(pause);
            continue;
        }
        left_ = std::max(deadline - now, Microseconds{0});
        // Whatever came of it then is the time's doing, which need not be vigild's.
        if (!reply && now >= deadline)
            return fail(ETIMEDOUT, reply.error().what);
        return reply;
    }
}

} // namespace vigil::wire
