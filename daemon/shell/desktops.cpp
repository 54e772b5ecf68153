// Graphical sessions: what their desktops say becomes an event, and what is wanted of them a call.

#include "base/log.hpp"
#include "daemon/shell/shell.hpp"

namespace vigil::shell {

void Shell::set_system_bus(sd_bus* bus) {
    system_bus_ = bus;
    desktops_.set_bus(bus);
}

void Shell::look_at_desktop(const core::SessionRecord& known) {
    if (known.logind_session.empty())
        return;
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
    const auto failed = [this, id = effect.session](const std::string& line) {
        dispatch(core::LockDone{id, false, line, {}});
    };
    const auto asked = enforce::lock_desktop(system_bus_, known->logind_session, true, failed);
    if (!asked)
        events_.push_back(core::LockDone{effect.session, false, asked.error().text(), {}});
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

} // namespace vigil::shell
