#include "daemon/bus/system_bus.hpp"

#include "base/bus_client.hpp"
#include "base/log.hpp"
#include "wire/names.hpp"

#include <utility>

namespace vigil::bus {

SystemBus::SystemBus(sd_event* loop, Api& api, shell::Shell& shell)
    : loop_{loop}, shell_{shell}, endpoint_{.api = &api} {
    if (!connect())
        try_again_later();
}

SystemBus::~SystemBus() {
    shell_.set_system_bus(nullptr);
}

Result<> SystemBus::connect() {
    auto bus = base::open_system_bus();
    if (!bus)
        return std::unexpected{bus.error()};
    bus_ = std::move(*bus);
    sd_bus* const raw = bus_.get();
    if (auto attached = attach(raw, endpoint_); !attached)
        return attached;
    int r = sd_bus_match_signal_async(raw, nullptr, nullptr, "/org/freedesktop/DBus/Local",
                                      "org.freedesktop.DBus.Local", "Disconnected", on_disconnected,
                                      nullptr, this);
    if (r >= 0)
        r = sd_bus_attach_event(raw, loop_, SD_EVENT_PRIORITY_NORMAL);
    if (r < 0)
        return fail(r, "setting up the system bus");
    if (auto asked = ask_for_name(); !asked)
        return asked;
    shell_.set_system_bus(raw);
    complained_ = false;
    return {};
}

void SystemBus::try_again_later() {
    if (!complained_)
        base::log(base::Level::warning,
                  "the system bus is away: vigilctl does not work for users until it is back, and "
                  "no desktop is locked");
    complained_ = true;
    name_retry_.reset();
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

Result<> SystemBus::ask_for_name() {
    if (const int r =
            sd_bus_request_name_async(bus_.get(), nullptr, wire::bus_name, 0, on_name, this);
        r < 0)
        return fail(r, "asking for a name on the system bus");
    return {};
}

void SystemBus::ask_for_name_later() {
    sd_event_source* timer = nullptr;
    if (sd_event_add_time_relative(loop_, &timer, CLOCK_BOOTTIME,
                                   static_cast<std::uint64_t>(name_again_after.count()), 0,
                                   on_ask_for_name, this) >= 0)
        name_retry_.reset(timer);
}

int SystemBus::on_ask_for_name(sd_event_source*, std::uint64_t, void* userdata) noexcept {
    auto& self = *static_cast<SystemBus*>(userdata);
    try {
        if (!self.ask_for_name())
            self.ask_for_name_later();
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
    }
    return 0;
}

namespace {

// Of RequestName, in the D-Bus specification.
constexpr std::uint32_t primary_owner = 1;
constexpr std::uint32_t already_owner = 4;

/// Why the name is not ours; nullopt: it is.
std::optional<std::string> name_trouble(sd_bus_message* reply) {
    if (const auto* error = sd_bus_message_get_error(reply))
        return error->message ? error->message : error->name;
    std::uint32_t outcome = 0;
    if (sd_bus_message_read_basic(reply, 'u', &outcome) <= 0)
        return "the broker's answer is none";
    if (outcome == primary_owner || outcome == already_owner)
        return std::nullopt;
    return "somebody else has it; is another vigild running?";
}

} // namespace

int SystemBus::on_name(sd_bus_message* reply, void* userdata, sd_bus_error*) noexcept {
    auto& self = *static_cast<SystemBus*>(userdata);
    try {
        const auto trouble = name_trouble(reply);
        if (!trouble && std::exchange(self.name_missed_, false))
            base::log(base::Level::notice, "the name org.vigil1 is ours on the system bus now");
        if (!trouble)
            return 1;
        if (!std::exchange(self.name_missed_, true))
            base::log(base::Level::error,
                      "the name org.vigil1 cannot be had on the system bus, so vigilctl works for "
                      "root alone: " +
                          *trouble);
        self.ask_for_name_later();
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
    }
    return 1;
}

} // namespace vigil::bus
