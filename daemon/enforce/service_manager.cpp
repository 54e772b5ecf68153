#include "daemon/enforce/service_manager.hpp"

#include <cerrno>
#include <memory>
#include <stdexcept>
#include <utility>

namespace vigil::enforce {

namespace {

constexpr Destination manager{"org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                              "org.freedesktop.systemd1.Manager"};

} // namespace

ServiceManager::ServiceManager(sd_event* loop, const char* socket) : loop_{loop}, socket_{socket} {
    sd_event_source* source = nullptr;
    if (const int r = sd_event_add_defer(loop, &source, on_quiet, this); r < 0)
        throw std::runtime_error{Error{-r, "adding to the loop"}.text()};
    quiet_.reset(source);
    sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

Result<> ServiceManager::reach() {
    if (bus_ && sd_bus_is_open(bus_.get()) > 0)
        return {};
    if (awaited_ > 0)
        return fail(ECONNRESET, "asking PID 1");
    auto bus = base::open_service_manager(socket_);
    if (!bus)
        return std::unexpected{bus.error()};
    if (const int r = sd_bus_attach_event(bus->get(), loop_, SD_EVENT_PRIORITY_NORMAL); r < 0)
        return fail(r, "connecting to PID 1");
    bus_ = std::move(*bus);
    sd_event_source_set_enabled(quiet_.get(), SD_EVENT_ONESHOT); // if nobody asks anything
    return {};
}

Result<base::BusMessage> ServiceManager::new_call(const char* method) {
    if (auto reached = reach(); !reached)
        return std::unexpected{reached.error()};
    return enforce::new_call(bus_.get(), manager, method);
}

Result<> ServiceManager::send(const base::BusMessage& call, std::string doing, CallFailed failed) {
    ++awaited_;
    // Goes with the callback: with the answer, or with the connection.
    const std::shared_ptr<void> awaited{nullptr, [this](void*) { answered(); }};
    return send_call(
        bus_.get(), call, std::move(doing),
        [awaited, failed = std::move(failed)](const std::string& name, const std::string& line) {
            if (failed)
                failed(name, line);
        });
}

void ServiceManager::answered() noexcept {
    if (--awaited_ == 0)
        sd_event_source_set_enabled(quiet_.get(), SD_EVENT_ONESHOT);
}

int ServiceManager::on_quiet(sd_event_source*, void* userdata) noexcept {
    auto& self = *static_cast<ServiceManager*>(userdata);
    if (self.awaited_ == 0)
        self.bus_.reset();
    return 0;
}

} // namespace vigil::enforce
