#pragma once
// Owners for libsystemd's handles (sd-bus(3), sd-event(3)). The only place that unrefs them.

#include <memory>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

namespace vigil::base {

struct SystemdDeleter {
    /// Closes without sd_bus_flush(3): that waits without a limit for a peer that does not read,
    /// and 25 s for one that does not shake hands. Whoever sends without a reply flushes for
    /// itself.
    void operator()(sd_bus* bus) const noexcept { sd_bus_close_unref(bus); }
    void operator()(sd_bus_message* message) const noexcept { sd_bus_message_unref(message); }
    void operator()(sd_bus_slot* slot) const noexcept { sd_bus_slot_unref(slot); }
    void operator()(sd_event* event) const noexcept { sd_event_unref(event); }
    void operator()(sd_event_source* source) const noexcept {
        sd_event_source_disable_unref(source);
    }
};

using Bus = std::unique_ptr<sd_bus, SystemdDeleter>;
using BusMessage = std::unique_ptr<sd_bus_message, SystemdDeleter>;
using BusSlot = std::unique_ptr<sd_bus_slot, SystemdDeleter>;
using EventLoop = std::unique_ptr<sd_event, SystemdDeleter>;
using EventSource = std::unique_ptr<sd_event_source, SystemdDeleter>;

/// An sd_bus_error on the stack.
class BusError {
public:
    BusError() noexcept = default;
    BusError(const BusError&) = delete;
    BusError& operator=(const BusError&) = delete;
    ~BusError() { sd_bus_error_free(&error_); }
    sd_bus_error* get() noexcept { return &error_; }
    const char* name() const noexcept { return error_.name ? error_.name : ""; }
    const char* message() const noexcept { return error_.message ? error_.message : ""; }

private:
    sd_bus_error error_ = SD_BUS_ERROR_NULL;
};

} // namespace vigil::base
