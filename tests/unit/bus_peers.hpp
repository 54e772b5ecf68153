#pragma once
// A daemon's socket and peers of every bad kind, for the tests of what connects to one. `brief` is
// for where the time must be used up and `ample` for where it must not be: the machine may be slow,
// sd-bus's own 25 s would still show.

#include "base/clock.hpp"
#include "base/dbus_peer.hpp"
#include "base/systemd.hpp"
#include "base/unique_fd.hpp"
#include "tests/unit/folder.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace vigil::test {

using namespace std::chrono_literals;
using base::UniqueFd;

inline constexpr Microseconds brief = 200ms;
inline constexpr Microseconds ample = 20s;

/// A listening socket in a folder of its own.
class Listener {
public:
    explicit Listener(int backlog = 16) {
        socket_ = make_socket();
        ck_assert_int_eq(
            bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_), 0);
        ck_assert_int_eq(listen(socket_.get(), backlog), 0);
    }

    UniqueFd make_socket() {
        address_.sun_family = AF_UNIX;
        std::strcpy(address_.sun_path, path_.c_str());
        UniqueFd fd{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        ck_assert(static_cast<bool>(fd));
        return fd;
    }
    UniqueFd accept() const {
        return UniqueFd{::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    }
    /// Connects until the backlog has no room.
    std::vector<UniqueFd> fill() {
        std::vector<UniqueFd> callers;
        while (true) {
            callers.push_back(make_socket());
            fcntl(callers.back().get(), F_SETFL, O_NONBLOCK);
            if (::connect(callers.back().get(), reinterpret_cast<const sockaddr*>(&address_),
                          sizeof address_) != 0) {
                ck_assert_int_eq(errno, EAGAIN);
                return callers;
            }
        }
    }
    void stop() { socket_.reset(); }
    const char* path() const { return path_.c_str(); }

private:
    Folder folder_;
    std::filesystem::path path_ = folder_ / "bus";
    sockaddr_un address_{};
    UniqueFd socket_;
};

/// Does with the one connection what `behave` says, in a thread.
class Peer {
public:
    Peer(const Listener& listener, std::function<void(int)> behave)
        : thread_{[&listener, behave = std::move(behave)] {
              const UniqueFd fd = listener.accept();
              behave(fd.get());
          }} {}
    ~Peer() { thread_.join(); }

private:
    std::thread thread_;
};

/// Returns when the other side has closed.
inline void wait_for_hangup(int fd) {
    char byte[256];
    while (read(fd, byte, sizeof byte) > 0) {
    }
}

inline int answer(sd_bus_message* call, void*, sd_bus_error* error) {
    if (sd_bus_message_is_method_call(call, "org.test", "Echo"))
        return sd_bus_reply_method_return(call, "s", "echo");
    if (sd_bus_message_is_method_call(call, "org.test", "Refuse"))
        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "not you");
    if (sd_bus_message_is_method_call(call, "org.test", "Silence"))
        return 1;
    return 0;
}

/// A server of the direct kind that answers so until the caller leaves.
inline void serve(int fd, sd_bus_message_handler_t as) {
    sd_bus* raw = nullptr;
    sd_bus_new(&raw);
    const base::Bus bus{raw};
    const int own = dup(fd);
    sd_id128_t id{};
    sd_bus_set_fd(raw, own, own);
    sd_bus_set_server(raw, 1, id);
    sd_bus_negotiate_fds(raw, 1);
    sd_bus_add_object(raw, nullptr, "/test", as, nullptr);
    if (sd_bus_start(raw) < 0)
        return;
    while (true) {
        const int r = sd_bus_process(raw, nullptr);
        if (r < 0 || (r == 0 && sd_bus_wait(raw, UINT64_MAX) < 0))
            return;
    }
}

inline void serve_echo(int fd) {
    serve(fd, answer);
}

/// The same by base/dbus_peer.hpp.
inline void serve_directly(int fd, const base::DbusPeer::Handler& handler) {
    const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    ck_assert_int_ge(own, 0);
    const auto peer = std::make_shared<base::DbusPeer>(UniqueFd{own}, std::string(32, '7'));
    while (true) {
        pollfd ready{.fd = own, .events = POLLIN, .revents = 0};
        if (peer->has_unsent())
            ready.events |= POLLOUT;
        if (poll(&ready, 1, -1) < 0)
            return;
        if ((ready.revents & POLLOUT) != 0 && !peer->flush())
            return;
        if ((ready.revents & ~POLLOUT) != 0 && !peer->receive(handler))
            return;
    }
}

} // namespace vigil::test

#define CHECK_WHOLE_DEADLINE(took)                                                                 \
    do {                                                                                           \
        ck_assert_int_ge((took).count(), brief.count());                                           \
        ck_assert_int_lt((took).count(), ample.count());                                           \
    } while (false)
