#include "daemon/enforce/bus_call.hpp"

#include <memory>

namespace vigil::enforce {

namespace {

struct Pending {
    std::string doing;
    CallFailed failed;
};

int on_answer(sd_bus_message* answer, void* data, sd_bus_error*) noexcept {
    try {
        const auto& pending = *static_cast<Pending*>(data);
        const sd_bus_error* error = sd_bus_message_get_error(answer);
        if (error != nullptr && pending.failed)
            pending.failed(error->name != nullptr ? error->name : "",
                           pending.doing + ": " +
                               (error->message != nullptr ? error->message : "no reason given"));
    } catch (...) {
        // Without memory there is nobody to tell.
    }
    return 0;
}

} // namespace

Result<base::BusMessage> new_call(sd_bus* bus, const Destination& destination, const char* method) {
    sd_bus_message* message = nullptr;
    const int r = sd_bus_message_new_method_call(bus, &message, destination.name, destination.path,
                                                 destination.interface, method);
    if (r < 0)
        return fail(r, std::string{"making a call of "} + method);
    return base::BusMessage{message};
}

Result<> send_call(sd_bus* bus, const base::BusMessage& call, std::string doing,
                   CallFailed failed) {
    auto pending = std::make_unique<Pending>(Pending{std::move(doing), std::move(failed)});
    sd_bus_slot* raw = nullptr;
    const int r = sd_bus_call_async(bus, &raw, call.get(), on_answer, pending.get(), 0);
    if (r < 0)
        return fail(r, pending->doing);
    const base::BusSlot slot{raw};
    // The slot's end, by an answer or by the bus's, is the end of what it carries.
    sd_bus_slot_set_destroy_callback(
        slot.get(), [](void* data) { std::unique_ptr<Pending>{static_cast<Pending*>(data)}; });
    pending.release();
    sd_bus_slot_set_floating(slot.get(), 1);
    return {};
}

} // namespace vigil::enforce
