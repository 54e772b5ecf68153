#include "daemon/bus/polkit.hpp"

#include "base/log.hpp"
#include "base/systemd.hpp"

#include <cerrno>
#include <memory>
#include <string_view>

namespace vigil::bus {

namespace {

constexpr const char* service = "org.freedesktop.PolicyKit1";
constexpr const char* object = "/org/freedesktop/PolicyKit1/Authority";
constexpr const char* interface = "org.freedesktop.PolicyKit1.Authority";
/// Of CheckAuthorization.
constexpr std::uint32_t allow_user_interaction = 1;

const char* name_of(PolkitAction action) {
    switch (action) {
    case PolkitAction::enroll_first:
        return "org.vigil1.enroll-first";
    case PolkitAction::manage_factors:
        return "org.vigil1.manage-factors";
    case PolkitAction::manage_grants:
        break;
    }
    return "org.vigil1.manage-grants";
}

/// `polkit.dismissed` in the details of an answer.
bool is_dismissed(sd_bus_message* answer) {
    if (sd_bus_message_enter_container(answer, 'a', "{ss}") <= 0)
        return false;
    while (sd_bus_message_enter_container(answer, 'e', "ss") > 0) {
        const char* key = nullptr;
        const char* value = nullptr;
        if (sd_bus_message_read(answer, "ss", &key, &value) <= 0)
            return false;
        if (std::string_view{key} == "polkit.dismissed" && *value != '\0')
            return true;
        sd_bus_message_exit_container(answer);
    }
    return false;
}

PolkitSays meaning_of_error(sd_bus_message* answer) {
    if (sd_bus_message_is_method_error(answer, "org.freedesktop.DBus.Error.NoReply") > 0 ||
        sd_bus_message_is_method_error(answer, "org.freedesktop.DBus.Error.Timeout") > 0)
        return PolkitSays::no_answer;
    const auto* const error = sd_bus_message_get_error(answer);
    base::log(base::Level::warning,
              std::string{"polkit cannot be asked: "} +
                  (error != nullptr && error->message != nullptr ? error->message : "no word why"));
    return PolkitSays::not_there;
}

/// What is not understood is a no.
PolkitSays meaning_of(sd_bus_message* answer) {
    if (sd_bus_message_is_method_error(answer, nullptr) > 0)
        return meaning_of_error(answer);
    int is_authorized = 0;
    int is_challenge = 0;
    if (sd_bus_message_enter_container(answer, 'r', "bba{ss}") <= 0 ||
        sd_bus_message_read(answer, "bb", &is_authorized, &is_challenge) <= 0)
        return PolkitSays::no;
    if (is_authorized != 0)
        return PolkitSays::yes;
    if (is_dismissed(answer))
        return PolkitSays::given_up;
    return is_challenge != 0 ? PolkitSays::nobody_to_ask : PolkitSays::no;
}

using Done = std::function<void(PolkitSays)>;

int on_answer(sd_bus_message* answer, void* userdata, sd_bus_error*) noexcept {
    try {
        (*static_cast<Done*>(userdata))(meaning_of(answer));
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
    }
    return 0;
}

} // namespace

Result<> ask_polkit(sd_bus_message* call, PolkitAction action, bool interactive, Done done) {
    auto* const bus = sd_bus_message_get_bus(call);
    const char* const sender = sd_bus_message_get_sender(call);
    if (sender == nullptr)
        return fail(EPERM, "who calls is not known");
    sd_bus_message* raw = nullptr;
    if (const int r = sd_bus_message_new_method_call(bus, &raw, service, object, interface,
                                                     "CheckAuthorization");
        r < 0)
        return fail(r, "asking polkit");
    const base::BusMessage question{raw};
    if (const int r = sd_bus_message_append(raw, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name",
                                            "s", sender, name_of(action), 0,
                                            interactive ? allow_user_interaction : 0U, "");
        r < 0)
        return fail(r, "asking polkit");
    auto kept = std::make_unique<Done>(std::move(done));
    sd_bus_slot* slot = nullptr;
    if (const int r =
            sd_bus_call_async(bus, &slot, raw, on_answer, kept.get(),
                              static_cast<std::uint64_t>(Microseconds{polkit_patience}.count()));
        r < 0)
        return fail(r, "asking polkit");
    const base::BusSlot owned{slot};
    // The slot's end, by an answer or by the bus's, is the end of what it carries.
    sd_bus_slot_set_destroy_callback(
        slot, [](void* data) { const std::unique_ptr<Done> gone{static_cast<Done*>(data)}; });
    (void)kept.release();
    sd_bus_slot_set_floating(slot, 1);
    return {};
}

} // namespace vigil::bus
