#include "daemon/bus/server.hpp"

#include "base/log.hpp"

#include <cerrno>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace vigil::bus {

namespace {

constexpr int backlog = 4096;

/// Root's processes alone speak on the login path.
bool is_root(int peer) noexcept {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    return getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 &&
           size == sizeof credentials && credentials.uid == 0;
}

/// As far as the peer has come with it, which mostly is to the end. Of a connection that is ready
/// when the loop sees it first the loop waits for nothing but messages: no timer is set for the
/// handshake, and none taken back. < 0: it cannot be served.
int shake_hands(sd_bus* bus) noexcept {
    int r = 1;
    while (r > 0 && sd_bus_is_ready(bus) == 0)
        r = sd_bus_process(bus, nullptr);
    return r;
}

} // namespace

DirectServer::DirectServer(sd_event* loop, Api& api, base::UniqueFd listener)
    : loop_{loop}, api_{api}, listener_{std::move(listener)} {}

DirectServer::~DirectServer() = default;

Result<base::UniqueFd> DirectServer::listen_at(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(ENAMETOOLONG, path);
    path.copy(address.sun_path, path.size());
    base::UniqueFd socket_fd{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!socket_fd)
        return fail(errno, "making a socket");
    unlink(path.c_str());
    // Before bind, so that there is no moment at which others could connect.
    fchmod(socket_fd.get(), 0600);
    if (bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
        chmod(path.c_str(), 0600) < 0 || listen(socket_fd.get(), backlog) < 0)
        return fail(errno, "listening on " + path);
    return socket_fd;
}

Result<std::unique_ptr<DirectServer>> DirectServer::create(sd_event* loop, Api& api,
                                                           base::UniqueFd listener) {
    std::unique_ptr<DirectServer> server{new DirectServer{loop, api, std::move(listener)}};
    // systemd hands sockets over blocking unless told otherwise, and accept_all() takes until
    // EAGAIN.
    const int flags = fcntl(server->listener_.get(), F_GETFL);
    if (flags < 0 || fcntl(server->listener_.get(), F_SETFL, flags | O_NONBLOCK) < 0)
        return fail(errno, "setting up the direct socket");
    sd_event_source* source = nullptr;
    if (const int r = sd_event_add_io(loop, &source, server->listener_.get(), EPOLLIN, on_connect,
                                      server.get());
        r < 0)
        return fail(r, "watching the direct socket");
    server->source_.reset(source);
    return server;
}

int DirectServer::on_connect(sd_event_source*, int, std::uint32_t, void* userdata) noexcept {
    try {
        static_cast<DirectServer*>(userdata)->accept_all();
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
    }
    return 0;
}

void DirectServer::pause(bool paused) noexcept {
    sd_event_source_set_enabled(source_.get(), paused ? SD_EVENT_OFF : SD_EVENT_ON);
}

/// The listening socket stays readable: to look at it again at once would be a busy loop.
void DirectServer::pause_for_a_while() noexcept {
    const auto microseconds = static_cast<std::uint64_t>(accept_again_after.count());
    int r = 0;
    if (auto* const timer = pause_over_.get()) {
        r = sd_event_source_set_time_relative(timer, microseconds);
        if (r >= 0)
            r = sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
    } else {
        sd_event_source* fresh = nullptr;
        r = sd_event_add_time_relative(loop_, &fresh, CLOCK_BOOTTIME, microseconds, 0,
                                       on_pause_over, this);
        pause_over_.reset(fresh);
    }
    // Better busy than deaf.
    pause(r >= 0);
}

int DirectServer::on_pause_over(sd_event_source*, std::uint64_t, void* userdata) noexcept {
    static_cast<DirectServer*>(userdata)->pause(false);
    return 0;
}

void DirectServer::accept_all() {
    while (connections_.size() < max_connections) {
        base::UniqueFd peer{
            accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
        if (!peer) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
                pause_for_a_while();
            return;
        }
        if (is_root(peer.get()))
            serve(std::move(peer));
    }
    pause(true);
}

void DirectServer::serve(base::UniqueFd peer) {
    auto& connection = connections_.emplace_back();
    connection.server = this;
    connection.endpoint = {.api = &api_, .direct = true};
    sd_bus* raw = nullptr;
    sd_id128_t guid{};
    int r = sd_bus_new(&raw);
    connection.bus.reset(raw);
    if (r >= 0)
        r = sd_id128_randomize(&guid);
    if (r >= 0)
        r = sd_bus_set_fd(raw, peer.get(), peer.get());
    if (r >= 0)
        (void)peer.release(); // the bus closes it
    if (r >= 0)
        r = sd_bus_set_server(raw, 1, guid);
    if (r >= 0)
        r = sd_bus_negotiate_fds(raw, 1);
    if (r >= 0)
        r = sd_bus_start(raw);
    if (r >= 0 && !api_.attach(raw, connection.endpoint))
        r = -ENOMEM;
    if (r >= 0)
        r = sd_bus_add_filter(raw, nullptr, on_message, &connection);
    if (r >= 0)
        r = sd_bus_match_signal_async(raw, nullptr, nullptr, "/org/freedesktop/DBus/Local",
                                      "org.freedesktop.DBus.Local", "Disconnected", on_disconnected,
                                      nullptr, &connection);
    if (r >= 0 && shake_hands(raw) < 0) { // it could not wait, or speaks something else
        connections_.pop_back();
        look_for_missed_logins();
        return;
    }
    if (r >= 0)
        r = sd_bus_attach_event(raw, loop_, SD_EVENT_PRIORITY_NORMAL);
    if (r < 0) {
        base::log(base::Level::warning, "a connection to the direct socket cannot be served: " +
                                            Error{-r, "sd-bus"}.text());
        connections_.pop_back();
        look_for_missed_logins();
    }
}

int DirectServer::on_message(sd_bus_message* message, void* userdata, sd_bus_error*) noexcept {
    if (sd_bus_message_is_method_call(message, nullptr, nullptr) > 0)
        static_cast<Connection*>(userdata)->was_heard = true;
    return 0;
}

/// Who came while vigild stood still and could not wait has logged in all the same.
void DirectServer::look_for_missed_logins() noexcept {
    sd_event_source* source = missed_.get();
    if (!source) {
        if (sd_event_add_defer(loop_, &source, on_missed, this) < 0)
            return;
        missed_.reset(source);
        // Many may have come: one look, after all that waits.
        sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IDLE);
    }
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int DirectServer::on_missed(sd_event_source*, void* userdata) noexcept {
    try {
        static_cast<DirectServer*>(userdata)->api_.adopt_unknown();
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
    }
    return 0;
}

int DirectServer::on_disconnected(sd_bus_message*, void* userdata, sd_bus_error*) noexcept {
    auto& connection = *static_cast<Connection*>(userdata);
    // Not from inside its own callback: the bus is freed a moment later.
    sd_event_source* source = nullptr;
    if (sd_event_add_defer(connection.server->loop_, &source, on_reap, &connection) >= 0)
        connection.reaper.reset(source);
    return 0;
}

int DirectServer::on_reap(sd_event_source*, void* userdata) noexcept {
    auto* connection = static_cast<Connection*>(userdata);
    auto& server = *connection->server;
    if (!connection->was_heard)
        server.look_for_missed_logins();
    server.connections_.remove_if([&](const Connection& each) { return &each == connection; });
    server.pause(false);
    return 0;
}

} // namespace vigil::bus
