#include "daemon/enforce/desktop.hpp"

#include "base/c_string.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "daemon/enforce/bus_call.hpp"

#include <cstring>
#include <ctime>

namespace vigil::enforce {

namespace {

constexpr const char* session_interface = "org.freedesktop.login1.Session";
constexpr const char* properties_interface = "org.freedesktop.DBus.Properties";

Result<std::string> object_of(const std::string& session) {
    char* raw = nullptr;
    const int r = sd_bus_path_encode("/org/freedesktop/login1/session", session.c_str(), &raw);
    const base::CString owner{raw};
    if (r < 0)
        return fail(r, "the path of session " + session);
    return std::string{raw};
}

/// What of a session's properties a message has in it.
struct Properties {
    std::optional<bool> locked;
    std::optional<bool> idle;
    std::optional<std::uint64_t> idle_since; ///< µs of CLOCK_MONOTONIC
    std::optional<std::string> type;
};

bool read_flag(sd_bus_message* message, std::optional<bool>& out) {
    int flag = 0;
    const bool read = sd_bus_message_read(message, "v", "b", &flag) >= 0;
    if (read)
        out = flag != 0;
    return read;
}

/// At an a{sv}. nullopt: it is none.
std::optional<Properties> read_properties(sd_bus_message* message) {
    Properties found;
    if (sd_bus_message_enter_container(message, 'a', "{sv}") <= 0)
        return std::nullopt;
    while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
        const char* name = nullptr;
        if (sd_bus_message_read_basic(message, 's', &name) <= 0)
            return std::nullopt;
        bool read = true;
        if (std::strcmp(name, "LockedHint") == 0) {
            read = read_flag(message, found.locked);
        } else if (std::strcmp(name, "IdleHint") == 0) {
            read = read_flag(message, found.idle);
        } else if (std::strcmp(name, "IdleSinceHintMonotonic") == 0) {
            read = sd_bus_message_read(message, "v", "t", &found.idle_since.emplace()) >= 0;
        } else if (std::strcmp(name, "Type") == 0) {
            const char* type = nullptr;
            read = sd_bus_message_read(message, "v", "s", &type) >= 0;
            if (read)
                found.type = type;
        } else {
            read = sd_bus_message_skip(message, "v") >= 0;
        }
        if (!read || sd_bus_message_exit_container(message) < 0)
            return std::nullopt;
    }
    return found;
}

/// A suspend in between is not counted, so that it comes out too late and never too early.
BootTime boot_time_of(std::uint64_t monotonic) {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto passed = Seconds{now.tv_sec} + Microseconds{now.tv_nsec / 1000} -
                        Microseconds{static_cast<std::int64_t>(monotonic)};
    const auto boot = base::read_boot_time();
    return std::min(boot, boot - std::chrono::duration_cast<Microseconds>(passed));
}

} // namespace

Result<> lock_desktop(sd_bus* system_bus, const std::string& logind_session, bool lock,
                      std::function<void(const std::string&)> on_failure) {
    if (!system_bus)
        return fail("there is no system bus to ask logind through");
    const auto call = new_call(system_bus, login_manager, lock ? "LockSession" : "UnlockSession");
    if (!call)
        return std::unexpected{call.error()};
    const std::string doing = (lock ? "locking session " : "unlocking session ") + logind_session;
    if (const int r = sd_bus_message_append(call->get(), "s", logind_session.c_str()); r < 0)
        return fail(r, doing);
    return send_call(system_bus, *call, doing,
                     [on_failure = std::move(on_failure)](
                         const std::string&, const std::string& line) { on_failure(line); });
}

Result<> forget_hint(sd_bus* system_bus, const std::string& logind_session) {
    if (!system_bus)
        return fail("there is no system bus to tell logind through");
    const auto object = object_of(logind_session);
    if (!object)
        return std::unexpected{object.error()};
    const auto call = new_call(system_bus, {login_manager.name, object->c_str(), session_interface},
                               "SetLockedHint");
    if (!call)
        return std::unexpected{call.error()};
    const std::string doing = "telling that session " + logind_session + " is not locked";
    if (const int r = sd_bus_message_append(call->get(), "b", 0); r < 0)
        return fail(r, doing);
    return send_call(system_bus, *call, doing, [](const std::string&, const std::string& line) {
        base::log(base::Level::warning, line);
    });
}

void DesktopWatch::set_bus(sd_bus* bus) {
    bus_ = bus;
    for (auto& [session, watched] : watched_) {
        watched->changes.reset();
        watched->answer.reset();
        if (bus_)
            if (const auto looked = look(*watched); !looked)
                base::log(base::Level::warning, looked.error().text());
    }
}

Result<> DesktopWatch::look(const std::string& logind_session) {
    auto& watched = watched_[logind_session];
    if (!watched)
        watched = std::make_unique<Watched>(Watched{.watch = this,
                                                    .session = logind_session,
                                                    .hints = {},
                                                    .is_graphical = false,
                                                    .changes = nullptr,
                                                    .answer = nullptr});
    if (!bus_)
        return fail("there is no system bus to ask logind through");
    return look(*watched);
}

Result<> DesktopWatch::look(Watched& watched) {
    const auto object = object_of(watched.session);
    if (!object)
        return std::unexpected{object.error()};
    sd_bus_slot* slot = nullptr;
    if (!watched.changes) {
        if (const int r = sd_bus_match_signal_async(
                bus_, &slot, login_manager.name, object->c_str(), properties_interface,
                "PropertiesChanged", on_changed, nullptr, &watched);
            r < 0)
            return fail(r, "watching session " + watched.session);
        watched.changes.reset(slot);
    }
    // Asked after the watch is set up, so that no change falls between the two.
    if (const int r = sd_bus_call_method_async(bus_, &slot, login_manager.name, object->c_str(),
                                               properties_interface, "GetAll", on_all, &watched,
                                               "s", session_interface);
        r < 0)
        return fail(r, "asking for the hints of session " + watched.session);
    watched.answer.reset(slot);
    return {};
}

int DesktopWatch::on_changed(sd_bus_message* message, void* data, sd_bus_error*) noexcept {
    try {
        auto& watched = *static_cast<Watched*>(data);
        const char* interface = nullptr;
        if (sd_bus_message_read_basic(message, 's', &interface) <= 0 ||
            std::strcmp(interface, session_interface) != 0)
            return 0;
        const auto found = read_properties(message);
        if (!found || (!found->locked && !found->idle && !found->type))
            return 0;
        auto& hints = watched.hints;
        if (found->type)
            watched.is_graphical = is_graphical(*found->type);
        hints.locked = found->locked.value_or(hints.locked);
        if (!watched.is_graphical || (found->idle && !*found->idle))
            hints.idle_since.reset();
        else if (found->idle && !hints.idle_since)
            hints.idle_since = base::read_boot_time();
        const auto session = watched.session; // the callback may forget it
        watched.watch->seen_(session, DesktopHints{hints});
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
    }
    return 0;
}

int DesktopWatch::on_all(sd_bus_message* message, void* data, sd_bus_error*) noexcept {
    try {
        auto& watched = *static_cast<Watched*>(data);
        const auto* error = sd_bus_message_get_error(message);
        const auto found = error ? std::nullopt : read_properties(message);
        if (!found || !found->locked) {
            base::log(base::Level::warning,
                      "logind does not tell the hints of session " + watched.session + ": " +
                          (error && error->message ? error->message : "no answer"));
            return 0;
        }
        auto& hints = watched.hints;
        hints.locked = *found->locked;
        watched.is_graphical = is_graphical(found->type.value_or(""));
        if (!watched.is_graphical || !found->idle.value_or(false))
            hints.idle_since.reset();
        else if (!hints.idle_since)
            hints.idle_since = boot_time_of(found->idle_since.value_or(0));
        const auto session = watched.session;
        watched.watch->seen_(session, DesktopHints{hints});
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
    }
    return 0;
}

} // namespace vigil::enforce
