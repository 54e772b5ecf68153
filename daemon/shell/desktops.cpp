// Sessions with a desktop: what their desktops say becomes an event, and what is wanted of them a
// call.

#include "base/log.hpp"
#include "daemon/shell/shell.hpp"

#include <utility>

namespace vigil::shell {

void Shell::set_system_bus(sd_bus* bus) {
    system_bus_ = bus;
    desktops_.set_bus(bus);
    forget_hints();
}

void Shell::look_at_desktop(const core::SessionRecord& known) {
    const auto found = watched_.find(known.id);
    if (known.logind_session.empty() || found == watched_.end())
        return;
    found->second.desktop = known.logind_session;
    if (const auto looked = desktops_.look(known.logind_session); !looked)
        base::log(base::Level::warning, looked.error().text());
}

void Shell::desktop_seen(const std::string& logind_session, const enforce::DesktopHints& hints) {
    const auto id = machine_.by_logind(logind_session);
    if (!id)
        return desktops_.forget(logind_session);
    dispatch(core::DesktopSeen{*id, hints.locked, hints.idle_since});
}

void Shell::perform(const core::LockDesktop& effect) {
    const auto* known = record(effect.session);
    if (!known)
        return;
    const auto outcome = [id = effect.session](const std::string& line) {
        return core::LockDone{.session = id, .detail = line, .terminals = {}, .by_desktop = true};
    };
    const auto asked =
        enforce::lock_desktop(system_bus_, known->logind_session, true,
                              [=, this](const std::string& line) { dispatch(outcome(line)); });
    if (!asked)
        events_.push_back(outcome(asked.error().text()));
}

void Shell::perform(const core::UnlockDesktop& effect) {
    const auto* known = record(effect.session);
    if (!known)
        return;
    const auto failed = [this, id = effect.session](const std::string& line) {
        dispatch(core::UnlockDone{id, false, line});
    };
    const auto asked = enforce::lock_desktop(system_bus_, known->logind_session, false, failed);
    if (!asked)
        events_.push_back(core::UnlockDone{effect.session, false, asked.error().text()});
}

void Shell::perform(const core::ForgetHint& effect) {
    if (const auto* known = record(effect.session))
        old_hints_.insert(known->logind_session);
    forget_hints();
}

/// As soon as there is a bus: vigild may have just been started.
void Shell::forget_hints() {
    if (!system_bus_)
        return;
    for (const auto& session : std::exchange(old_hints_, {}))
        base::log_failure("taking a desktop's hint back",
                          enforce::forget_hint(system_bus_, session));
}

} // namespace vigil::shell
