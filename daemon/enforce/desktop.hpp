#pragma once
// Desktops: logind carries the wish to lock to the desktop, and the desktop's hints back
// (org.freedesktop.login1(5): LockSession, LockedHint, IdleHint). Hints are what the desktop says.

#include "base/systemd.hpp"
#include "base/time.hpp"
#include "daemon/enforce/logind.hpp"

#include <map>
#include <memory>
#include <optional>

namespace vigil::enforce {

struct DesktopHints {
    bool locked = false;
    /// Never before the true moment; nullopt: in use. logind takes a desktop's word for it, but of
    /// a session that calls itself a terminal's it looks at that, which no desktop reads.
    std::optional<BootTime> idle_since;
};

/// Asks logind, without waiting, to have the desktop lock (or unlock) itself. Whether it does is
/// told by its LockedHint. Failures are told to `on_failure` with a line.
Result<> lock_desktop(sd_bus* system_bus, const std::string& logind_session, bool lock,
                      std::function<void(const std::string&)> on_failure);

/// Has logind no longer say that the session is locked, which was the word of a desktop that is
/// gone. Sends it and returns.
Result<> forget_hint(sd_bus* system_bus, const std::string& logind_session);

/// Watches the hints of sessions by logind's signals; nothing polls.
class DesktopWatch {
public:
    using Seen = std::function<void(const std::string& logind_session, const DesktopHints&)>;

    explicit DesktopWatch(Seen seen) : seen_{std::move(seen)} {}

    /// The broker's connection; null while it is away. What was missed meanwhile is read anew.
    void set_bus(sd_bus* bus);

    /// From now on its changes are told, and first how it is. Again: how it is, alone.
    Result<> look(const std::string& logind_session);
    void forget(const std::string& logind_session) { watched_.erase(logind_session); }

private:
    struct Watched {
        DesktopWatch* watch;
        std::string session;
        DesktopHints hints;
        bool is_graphical; ///< its Type says so
        base::BusSlot changes;
        base::BusSlot answer;
    };

    Result<> look(Watched& watched);
    static int on_changed(sd_bus_message* message, void* data, sd_bus_error*) noexcept;
    static int on_all(sd_bus_message* message, void* data, sd_bus_error*) noexcept;

    Seen seen_;
    sd_bus* bus_ = nullptr;
    std::map<std::string, std::unique_ptr<Watched>> watched_;
};

} // namespace vigil::enforce
