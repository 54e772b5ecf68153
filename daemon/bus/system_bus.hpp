#pragma once
// org.vigil1 on the system's broker, for people and operators; also vigild's way to logind and
// PID 1. The broker may be away or restart: nothing on the login path waits for it.

#include "daemon/bus/api.hpp"

namespace vigil::bus {

/// Between tries while the broker is away.
inline constexpr Microseconds reconnect_after = Seconds{1};

class SystemBus {
public:
    /// Connects now or keeps trying.
    SystemBus(sd_event* loop, Api& api, shell::Shell& shell);
    ~SystemBus();
    SystemBus(const SystemBus&) = delete;
    SystemBus& operator=(const SystemBus&) = delete;

private:
    Result<> connect();
    void try_again_later();

    static int on_retry(sd_event_source*, std::uint64_t, void* userdata) noexcept;
    static int on_disconnected(sd_bus_message*, void* userdata, sd_bus_error*) noexcept;
    static int on_name(sd_bus_message*, void* userdata, sd_bus_error*) noexcept;

    sd_event* loop_;
    Api& api_;
    shell::Shell& shell_;
    Endpoint endpoint_;
    base::Bus bus_;
    base::EventSource retry_;
    bool complained_ = false;
};

} // namespace vigil::bus
