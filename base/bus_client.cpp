#include "base/bus_client.hpp"

#include "base/local_socket.hpp"

#include <cerrno>
#include <cstdlib>

namespace vigil::base {

namespace {

// As sd_bus_open_system(3) has it.
constexpr const char* system_address = "unix:path=/run/dbus/system_bus_socket";

Result<Bus> start_direct(UniqueFd socket) {
    sd_bus* raw = nullptr;
    int r = sd_bus_new(&raw);
    if (r < 0)
        return fail(r, "making a bus");
    Bus bus{raw};
    r = sd_bus_set_fd(bus.get(), socket.get(), socket.get());
    if (r < 0)
        return fail(r, "making a bus");
    (void)socket.release(); // the bus closes it
    r = sd_bus_set_bus_client(bus.get(), 0);
    if (r >= 0)
        r = sd_bus_negotiate_fds(bus.get(), 1);
    if (r >= 0)
        r = sd_bus_start(bus.get());
    if (r < 0)
        return fail(r, "starting a bus");
    return bus;
}

/// How far sd-bus had come decides which of these it says.
bool hung_up(int r) noexcept {
    return r == -ENOTCONN || r == -EPIPE || r == -ECONNRESET;
}

/// sd_bus_call(3) would shake hands by itself, with 25 s for it.
Result<> shake_hands(sd_bus* bus, BootTime deadline) {
    while (true) {
        int r = sd_bus_is_ready(bus);
        if (r > 0)
            return {};
        if (r == 0)
            r = sd_bus_process(bus, nullptr);
        if (r < 0)
            return fail(hung_up(r) ? ECONNRESET : r, "shaking hands on the bus");
        const Microseconds left = time_until(deadline);
        if (left == Microseconds{0})
            return fail(ETIMEDOUT, "shaking hands on the bus");
        if (r > 0)
            continue;
        r = sd_bus_wait(bus, static_cast<std::uint64_t>(left.count()));
        if (r < 0 && r != -EINTR)
            return fail(r, "waiting for the bus");
    }
}

/// nullptr: it is the machine's own.
const char* named_system_bus() noexcept {
    const char* const address = ::secure_getenv("DBUS_SYSTEM_BUS_ADDRESS");
    return address != nullptr && *address != '\0' ? address : nullptr;
}

Result<Bus> start_bus(const char* address, bool has_broker, const char* doing) {
    sd_bus* raw = nullptr;
    int r = sd_bus_new(&raw);
    if (r < 0)
        return fail(r, "making a bus");
    Bus bus{raw};
    r = sd_bus_set_address(raw, address);
    if (r >= 0)
        r = sd_bus_set_bus_client(raw, has_broker ? 1 : 0);
    if (r >= 0)
        r = sd_bus_negotiate_fds(raw, 0);
    if (r >= 0)
        r = sd_bus_start(raw);
    if (r < 0)
        return fail(r, doing);
    return bus;
}

} // namespace

Result<Bus> open_system_bus() {
    const char* const named = named_system_bus();
    return start_bus(named != nullptr ? named : system_address, true,
                     "connecting to the system bus");
}

Result<Bus> open_service_manager(const char* socket) {
    if (named_system_bus() != nullptr)
        return fail(EPERM, "DBUS_SYSTEM_BUS_ADDRESS is set, so PID 1 is not asked");
    return start_bus(("unix:path=" + std::string{socket}).c_str(), false, "connecting to PID 1");
}

Result<BusClient> BusClient::connect(const char* path, BootTime deadline) {
    auto socket = connect_socket(path, deadline);
    if (!socket)
        return std::unexpected{socket.error()};
    auto bus = start_direct(std::move(*socket));
    if (!bus)
        return std::unexpected{bus.error()};
    const auto ready = shake_hands(bus->get(), deadline);
    if (!ready)
        return std::unexpected{ready.error()};
    return BusClient{std::move(*bus), deadline, {}};
}

Result<BusClient> BusClient::connect_system(const char* destination, BootTime deadline) {
    auto bus = open_system_bus();
    if (!bus)
        return std::unexpected{bus.error()};
    const auto ready = shake_hands(bus->get(), deadline);
    if (!ready)
        return std::unexpected{ready.error()};
    return BusClient{std::move(*bus), deadline, destination};
}

Result<BusMessage> BusClient::message(const char* object, const char* interface,
                                      const char* method) const {
    sd_bus_message* raw = nullptr;
    const int r = sd_bus_message_new_method_call(
        bus_.get(), &raw, destination_.empty() ? nullptr : destination_.c_str(), object, interface,
        method);
    if (r < 0)
        return fail(r, std::string{"making a call of "} + method);
    return BusMessage{raw};
}

Result<BusMessage> BusClient::call(BusMessage request) {
    const char* const member = sd_bus_message_get_member(request.get());
    const std::string method = member ? member : "";
    const Microseconds left = time_until(deadline_);
    if (left == Microseconds{0})
        return fail(ETIMEDOUT, "calling " + method);
    BusError error;
    sd_bus_message* raw = nullptr;
    const int r = sd_bus_call(bus_.get(), request.get(), static_cast<std::uint64_t>(left.count()),
                              error.get(), &raw);
    if (r >= 0)
        return BusMessage{raw};
    // Both an error reply and a failure of our own come as an sd_bus_error; only the first has
    // words of the peer's.
    const int code = sd_bus_error_get_errno(error.get());
    return fail(code != 0 ? code : r, *error.message() ? error.message() : "calling " + method);
}

} // namespace vigil::base
