#pragma once
// The direct socket: the login path's way in that no broker stands in.

#include "base/dbus_peer.hpp"
#include "base/systemd.hpp"
#include "base/unique_fd.hpp"
#include "daemon/bus/api.hpp"

#include <list>

namespace vigil::bus {

/// Connections at one time. For one more the oldest that has nothing to wait for is hung up on, and
/// without such a one it waits in the socket's backlog.
inline constexpr std::size_t max_connections = 1024;
/// Connections that are taken, and mostly answered, before what else waits has its turn.
inline constexpr std::size_t max_accepted_at_once = 16;
/// Without descriptors to accept with. Others hold them, so no connection that closes has to be
/// ours.
inline constexpr Microseconds accept_again_after = std::chrono::milliseconds{100};
/// From a login that did not wait for its answer to its session's being there.
inline constexpr Microseconds look_again_after = std::chrono::seconds{5};

class DirectServer {
public:
    /// `listener`: from systemd (vigild.socket outlives vigild, so logins wait through a restart
    /// instead of failing), or made by listen_at().
    static Result<std::unique_ptr<DirectServer>> create(sd_event* loop, Api& api,
                                                        base::UniqueFd listener);
    ~DirectServer();

    /// Binds `path`, mode 0600, replacing what is there.
    static Result<base::UniqueFd> listen_at(const std::string& path);

private:
    struct Connection {
        DirectServer* server = nullptr;
        std::shared_ptr<base::DbusPeer> peer;
        base::EventSource source;
        bool was_heard = false; ///< asked something
    };

    DirectServer(sd_event* loop, Api& api, base::UniqueFd listener);
    void accept_all();
    bool make_room() noexcept;
    void serve(base::UniqueFd socket);
    Result<> take(Connection& connection);
    Result<> watch(Connection& connection);
    void hang_up(Connection& connection) noexcept;
    void pause(bool paused) noexcept;
    void pause_for_a_while() noexcept;
    void look_for_missed_logins() noexcept;
    void look_after(Microseconds time) noexcept;

    static int on_connect(sd_event_source*, int, std::uint32_t, void* userdata) noexcept;
    static int on_pause_over(sd_event_source*, std::uint64_t, void* userdata) noexcept;
    static int on_missed(sd_event_source*, std::uint64_t, void* userdata) noexcept;
    static int on_ready(sd_event_source*, int, std::uint32_t, void* userdata) noexcept;

    sd_event* loop_;
    Api& api_;
    base::UniqueFd listener_;
    std::string guid_; ///< of the server, which D-Bus wants to have one
    base::EventSource source_;
    base::EventSource missed_;
    int looks_left_ = 0;
    base::EventSource pause_over_;
    std::list<Connection> connections_;
};

} // namespace vigil::bus
