#include "daemon/bus/brokered.hpp"

#include "base/bus_values.hpp"
#include "daemon/bus/methods.hpp"

#include <cerrno>

namespace vigil::bus {

namespace {

class Brokered final : public Incoming {
public:
    explicit Brokered(sd_bus_message* message) noexcept
        : message_{sd_bus_message_ref(message)}, source_{message} {}

    const char* path() const noexcept override { return sd_bus_message_get_path(message_.get()); }
    const char* interface() const noexcept override {
        const char* const text = sd_bus_message_get_interface(message_.get());
        return text ? text : "";
    }
    const char* member() const noexcept override {
        return sd_bus_message_get_member(message_.get());
    }
    const char* signature() const noexcept override {
        return sd_bus_message_get_signature(message_.get(), 1);
    }
    base::ValueSource& arguments() noexcept override { return source_; }
    bool rewind() override { return sd_bus_message_rewind(message_.get(), 1) >= 0; }

    Result<> answer(const Fill& fill) override {
        sd_bus_message* raw = nullptr;
        if (const int r = sd_bus_message_new_method_return(message_.get(), &raw); r < 0)
            return fail(r, "making an answer");
        const base::BusMessage message{raw};
        base::BusSink sink{raw};
        if (auto filled = fill(sink); !filled)
            return filled;
        if (sd_bus_send(nullptr, raw, nullptr) < 0)
            base::log(base::Level::debug, "an answer finds nobody any more");
        return {};
    }
    void refuse(const char* error, const std::string& text) override {
        if (sd_bus_reply_method_errorf(message_.get(), error, "%s", text.c_str()) < 0)
            base::log(base::Level::debug, "an answer finds nobody any more");
    }

    sd_bus_message* brokered() const noexcept override { return message_.get(); }

private:
    base::BusMessage message_;
    base::BusSource source_;
};

/// What the broker is asked of a caller, by the names of its methods.
enum class Asked { user, process };

constexpr const char* method_of(Asked question) noexcept {
    return question == Asked::user ? "GetConnectionUnixUser" : "GetConnectionUnixProcessID";
}

/// A call whose caller the broker was asked for.
struct Introduced {
    Endpoint* endpoint;
    Call call;
    Asked question;
};

void introduce(Endpoint& endpoint, Call call, Asked question);

/// An error is nobody: an unknown user the table refuses, an unknown process is told of by none.
void go_on(sd_bus_message* answer, Introduced& introduced) {
    std::uint32_t number = 0;
    const bool told = !sd_bus_message_is_method_error(answer, nullptr) &&
                      sd_bus_message_read_basic(answer, 'u', &number) > 0;
    auto& call = introduced.call;
    if (introduced.question == Asked::process) {
        call.pid = told ? static_cast<pid_t>(number) : 0;
    } else {
        call.uid = told ? number : static_cast<uid_t>(-1);
        if (asks_for_process(call))
            return introduce(*introduced.endpoint, call, Asked::process);
    }
    handle(*introduced.endpoint->api, call);
}

int on_caller(sd_bus_message* answer, void* userdata, sd_bus_error*) noexcept {
    auto& introduced = *static_cast<Introduced*>(userdata);
    guarded(introduced.call, [&] { go_on(answer, introduced); });
    return 0;
}

/// Asks the broker who calls, and does not wait for it: a broker that hangs would hang the logins
/// on the direct socket. Never by GetConnectionCredentials: dbus-broker puts a descriptor into its
/// answer, and throws out who has not asked for any.
void introduce(Endpoint& endpoint, Call call, Asked question) {
    auto* const message = call.message->brokered();
    const auto* sender = sd_bus_message_get_sender(message);
    if (sender == nullptr || endpoint.asking >= max_asking) {
        reply_error(call, wire::error_too_many, "vigild has too many requests waiting.");
        return;
    }
    auto* const bus = sd_bus_message_get_bus(message);
    auto introduced = std::make_unique<Introduced>(&endpoint, std::move(call), question);
    sd_bus_slot* raw = nullptr;
    if (const int r = sd_bus_call_method_async(
            bus, &raw, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
            method_of(question), on_caller, introduced.get(), "s", sender);
        r < 0) {
        reply_error(introduced->call, wire::error_broken, "vigild cannot ask who calls");
        return;
    }
    const base::BusSlot slot{raw};
    ++endpoint.asking;
    // The slot's end, by an answer or by the bus's, is the end of what it carries.
    sd_bus_slot_set_destroy_callback(slot.get(), [](void* data) {
        const std::unique_ptr<Introduced> done{static_cast<Introduced*>(data)};
        --done->endpoint->asking;
    });
    introduced.release();
    sd_bus_slot_set_floating(slot.get(), 1);
}

int on_method(sd_bus_message* message, void* userdata, sd_bus_error*) noexcept {
    try {
        Call call{.message = std::make_shared<Brokered>(message)};
        guarded(call, [&] { introduce(*static_cast<Endpoint*>(userdata), call, Asked::user); });
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
        return -ENOMEM;
    }
    return 1;
}

/// Any id has an object, and the table tells nobody whether the session is there: which there are
/// is not everybody's to know. So they are not listed below their parent either.
int find_session(sd_bus*, const char* path, const char*, void* userdata, void** found,
                 sd_bus_error*) noexcept {
    *found = userdata;
    try {
        return core::SessionId::from_text(session_in(path)) ? 1 : 0;
    } catch (const std::exception&) {
        return -ENOMEM;
    }
}

/// sd-bus keeps pointers into a vtable, so they live as long as the program.
std::vector<sd_bus_vtable> vtable_of(const char* interface) {
    std::vector<sd_bus_vtable> table;
    table.push_back(SD_BUS_VTABLE_START(0));
    for (const auto& method : methods_of(interface))
        // Unprivileged for sd-bus: who may call is the table's to say alone.
        table.push_back(SD_BUS_METHOD(method.name, method.in, method.out, on_method,
                                      SD_BUS_VTABLE_UNPRIVILEGED));
    table.push_back(SD_BUS_VTABLE_END);
    return table;
}

} // namespace

Result<> attach(sd_bus* bus, Endpoint& endpoint) {
    static const auto manager_table = vtable_of(wire::manager_interface);
    static const auto stepup_table = vtable_of(wire::stepup_interface);
    static const auto session_table = vtable_of(wire::session_interface);
    int r = sd_bus_add_object_vtable(bus, nullptr, wire::manager_path, wire::manager_interface,
                                     manager_table.data(), &endpoint);
    if (r >= 0)
        r = sd_bus_add_object_vtable(bus, nullptr, wire::manager_path, wire::stepup_interface,
                                     stepup_table.data(), &endpoint);
    if (r >= 0)
        r = sd_bus_add_fallback_vtable(bus, nullptr, wire::session_path, wire::session_interface,
                                       session_table.data(), find_session, &endpoint);
    if (r < 0)
        return fail(r, "adding org.vigil1 to a bus");
    return {};
}

} // namespace vigil::bus
