// What terminals showed before their lock screen: who may ask them, and what they answer.

#include "base/console.hpp"
#include "daemon/shell/shell.hpp"

#include <algorithm>

namespace vigil::shell {

std::optional<core::SavedTerminal> Shell::saved_terminal(const core::SessionId& id,
                                                         const std::string& path) {
    const auto saved = store_.terminals(id);
    if (!saved)
        return std::nullopt;
    const auto found = std::ranges::find(*saved, path, &core::SavedTerminal::path);
    return found == saved->end() ? std::nullopt : std::optional{*found};
}

/// Virtual consoles do not answer, and a lock console is not where the session is.
bool Shell::is_undrawn(const core::SavedTerminal& saved) {
    return saved.screen == core::Screen::unasked && base::virtual_console(saved.device) == 0;
}

/// Written down before it is asked: a second prompt would be told what the first one has drawn.
bool Shell::ask_screen(core::SavedTerminal saved) {
    if (!is_undrawn(saved))
        return false;
    saved.screen = core::Screen::asked;
    if (!stored(store_.put(saved)))
        return false;
    dispatch(core::ScreenAsked{saved.session, saved.device});
    return true;
}

void Shell::screen_seen(const core::SessionId& id, const std::string& path, core::Screen screen,
                        core::Cursor cursor) {
    auto saved = saved_terminal(id, path);
    if (!saved || saved->screen != core::Screen::asked)
        return;
    saved->screen = screen;
    saved->cursor = cursor;
    stored(store_.put(*saved));
    dispatch(core::ScreenSeen{id, saved->device});
}

} // namespace vigil::shell
