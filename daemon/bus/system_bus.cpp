#include "daemon/bus/system_bus.hpp"

#include "base/log.hpp"
#include "wire/names.hpp"

namespace vigil::bus {

SystemBus::SystemBus(sd_event* loop, Api& api, shell::Shell& shell)
    : loop_{loop}, api_{api}, shell_{shell}, endpoint_{.api = &api, .direct = false} {
    if (!connect())
        try_again_later();
}

SystemBus::~SystemBus() {
    shell_.set_system_bus(nullptr);
}

Result<> SystemBus::connect() {
    sd_bus* raw = nullptr;
    if (const int r = sd_bus_open_system(&raw); r < 0)
        return fail(r, "connecting to the system bus");
    bus_.reset(raw);
    if (auto attached = api_.attach(raw, endpoint_); !attached)
        return attached;
    int r = sd_bus_match_signal_async(raw, nullptr, nullptr, "/org/freedesktop/DBus/Local",
                                      "org.freedesktop.DBus.Local", "Disconnected", on_disconnected,
                                      nullptr, this);
    if (r >= 0)
        r = sd_bus_request_name_async(raw, nullptr, wire::bus_name, 0, on_name, this);
    if (r >= 0)
        r = sd_bus_attach_event(raw, loop_, SD_EVENT_PRIORITY_NORMAL);
    if (r < 0)
        return fail(r, "setting up the system bus");
    shell_.set_system_bus(raw);
    complained_ = false;
    return {};
}

void SystemBus::try_again_later() {
    if (!complained_)
        base::log(base::Level::warning,
                  "the system bus is away: no prompt can be started and vigilctl does not work for "
                  "users until it is back");
    complained_ = true;
    shell_.set_system_bus(nullptr);
    sd_event_source* timer = nullptr;
    if (sd_event_add_time_relative(loop_, &timer, CLOCK_BOOTTIME,
                                   static_cast<std::uint64_t>(reconnect_after.count()), 0, on_retry,
                                   this) >= 0)
        retry_.reset(timer);
}

int SystemBus::on_retry(sd_event_source*, std::uint64_t, void* userdata) noexcept {
    auto& self = *static_cast<SystemBus*>(userdata);
    try {
        self.bus_.reset();
        if (self.connect())
            base::log(base::Level::notice, "the system bus is back");
        else
            self.try_again_later();
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
    }
    return 0;
}

int SystemBus::on_disconnected(sd_bus_message*, void* userdata, sd_bus_error*) noexcept {
    try {
        static_cast<SystemBus*>(userdata)->try_again_later();
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
    }
    return 0;
}

int SystemBus::on_name(sd_bus_message* reply, void*, sd_bus_error*) noexcept {
    if (sd_bus_message_is_method_error(reply, nullptr))
        base::log(base::Level::error,
                  "the name org.vigil1 cannot be had on the system bus: vigilctl works for root "
                  "alone; is another vigild running?");
    return 1;
}

} // namespace vigil::bus
