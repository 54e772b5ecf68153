#pragma once
// org.vigil1 on the system's broker, for people and operators; also vigild's way to logind. The
// broker may be away or restart: nothing on the login path waits for it, and no prompt.

#include "daemon/bus/brokered.hpp"

namespace vigil::bus {

/// Between tries while the broker is away.
inline constexpr Microseconds reconnect_after = Seconds{1};
/// Between tries while somebody else has the name.
inline constexpr Microseconds name_again_after = Seconds{2};

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
    Result<> ask_for_name();
    void ask_for_name_later();

    static int on_retry(sd_event_source*, std::uint64_t, void* userdata) noexcept;
    static int on_disconnected(sd_bus_message*, void* userdata, sd_bus_error*) noexcept;
    static int on_name(sd_bus_message*, void* userdata, sd_bus_error*) noexcept;
    static int on_ask_for_name(sd_event_source*, std::uint64_t, void* userdata) noexcept;

    sd_event* loop_;
    shell::Shell& shell_;
    Endpoint endpoint_;
    base::Bus bus_;
    base::EventSource retry_;
    base::EventSource name_retry_;
    bool complained_ = false;
    bool name_missed_ = false; ///< and complained about
};

} // namespace vigil::bus
