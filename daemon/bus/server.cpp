#include "daemon/bus/server.hpp"

#include "base/log.hpp"
#include "daemon/bus/methods.hpp"

#include <algorithm>
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

/// The socket's mode and is_root() let only root in.
class Direct final : public Incoming {
public:
    explicit Direct(std::shared_ptr<base::DbusRequest> request) noexcept
        : request_{std::move(request)}, reader_{request_->reader()} {}

    const char* path() const noexcept override { return request_->message().path.c_str(); }
    const char* interface() const noexcept override {
        return request_->message().interface.c_str();
    }
    const char* member() const noexcept override { return request_->message().member.c_str(); }
    const char* signature() const noexcept override {
        return request_->message().signature.c_str();
    }
    base::ValueSource& arguments() noexcept override { return reader_; }
    bool rewind() override {
        reader_ = request_->reader();
        return true;
    }

    Result<> answer(const Fill& fill) override {
        base::DbusWriter values;
        if (auto filled = fill(values); !filled)
            return filled;
        auto sent = request_->answer(values);
        if (!sent && (sent.error().code == EINVAL || sent.error().code == EMSGSIZE))
            return sent;
        if (!sent)
            base::log(base::Level::debug, "an answer finds nobody any more");
        return {};
    }
    void refuse(const char* error, const std::string& text) override {
        if (const auto sent = request_->refuse(error, text); !sent)
            base::log(base::Level::debug, "an answer finds nobody any more");
    }

private:
    std::shared_ptr<base::DbusRequest> request_;
    base::DbusReader reader_;
};

std::string random_guid() {
    sd_id128_t id{};
    char text[SD_ID128_STRING_MAX] = {};
    sd_id128_randomize(&id); // which D-Bus wants to tell servers apart; it protects nothing
    return sd_id128_to_string(id, text);
}

} // namespace

DirectServer::DirectServer(sd_event* loop, Api& api, base::UniqueFd listener)
    : loop_{loop}, api_{api}, listener_{std::move(listener)}, guid_{random_guid()} {}

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
    if (connections_.size() >= max_connections && !make_room()) {
        pause(true);
        return;
    }
    for (std::size_t taken = 0;
         taken < max_accepted_at_once && connections_.size() < max_connections; ++taken) {
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
}

/// Who is hung up on asks again, if anybody is still there.
bool DirectServer::make_room() noexcept {
    const auto idle = std::ranges::find_if(
        connections_, [](const Connection& each) { return each.peer->waiting() == 0; });
    if (idle == connections_.end())
        return false;
    hang_up(*idle);
    return true;
}

/// Mostly the call is there already, and the answer goes out before the loop hears of any of it.
void DirectServer::serve(base::UniqueFd socket) {
    auto peer = std::make_shared<base::DbusPeer>(std::move(socket), guid_);
    auto& connection = connections_.emplace_back();
    connection.server = this;
    connection.peer = std::move(peer);
    Result<> done;
    try {
        done = take(connection);
    } catch (const std::exception& error) {
        done = fail(ENOMEM, error.what());
    }
    if (done) {
        sd_event_source* source = nullptr;
        const int r = sd_event_add_io(loop_, &source, connection.peer->socket(), EPOLLIN, on_ready,
                                      &connection);
        connection.source.reset(source);
        done = r < 0 ? fail(r, "watching a connection") : watch(connection);
    }
    if (done) {
        connection.peer->when_unsent([this, &connection] { (void)watch(connection); });
        return;
    }
    if (done.error().code != ECONNRESET)
        base::log(base::Level::warning,
                  "a connection to the direct socket cannot be served: " + done.error().text());
    hang_up(connection);
}

Result<> DirectServer::take(Connection& connection) {
    return connection.peer->receive([&](std::shared_ptr<base::DbusRequest> request) {
        connection.was_heard = true;
        Call call{.message = std::make_shared<Direct>(std::move(request)), .uid = 0};
        guarded(call, [&] { handle(api_, call); });
    });
}

Result<> DirectServer::watch(Connection& connection) {
    const std::uint32_t events = connection.peer->has_unsent() ? EPOLLIN | EPOLLOUT : EPOLLIN;
    const int r = sd_event_source_set_io_events(connection.source.get(), events);
    return r < 0 ? fail(r, "watching a connection") : Result<>{};
}

int DirectServer::on_ready(sd_event_source*, int, std::uint32_t events, void* userdata) noexcept {
    auto& connection = *static_cast<Connection*>(userdata);
    auto& server = *connection.server;
    try {
        auto done = (events & EPOLLOUT) != 0 ? connection.peer->flush() : Result<>{};
        if (done && (events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0)
            done = server.take(connection);
        if (done)
            done = server.watch(connection);
        if (done)
            return 0;
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
    }
    server.hang_up(connection);
    return 0;
}

void DirectServer::hang_up(Connection& connection) noexcept {
    // Whether it asked nothing, or is not there for the answer: it may have been a login's, which
    // goes on without us.
    const auto& peer = *connection.peer;
    if (!connection.was_heard || peer.waiting() != 0 || peer.has_unsent())
        look_for_missed_logins();
    connections_.remove_if([&](const Connection& each) { return &each == &connection; });
    pause(false);
}

/// Who came while vigild stood still and could not wait has logged in all the same.
void DirectServer::look_for_missed_logins() noexcept {
    looks_left_ = 2;
    look_after(Microseconds{0});
}

/// Many may have come: one look, after all that waits.
void DirectServer::look_after(Microseconds time) noexcept {
    sd_event_source* source = missed_.get();
    if (!source) {
        if (sd_event_add_time_relative(loop_, &source, CLOCK_BOOTTIME, 0, 0, on_missed, this) < 0)
            return;
        missed_.reset(source);
        sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IDLE);
    }
    sd_event_source_set_time_relative(source, static_cast<std::uint64_t>(time.count()));
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int DirectServer::on_missed(sd_event_source*, std::uint64_t, void* userdata) noexcept {
    auto& server = *static_cast<DirectServer*>(userdata);
    try {
        // It gave up before PAM opened the session: logind may not have it yet.
        if (--server.looks_left_ > 0)
            server.look_after(look_again_after);
        server.api_.adopt_unknown();
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
    }
    return 0;
}

} // namespace vigil::bus
