// Sessions at virtual consoles under a lock: whose lock console comes to the front when, and
// whether switching is held there.

#include "base/log.hpp"
#include "daemon/enforce/console.hpp"
#include "daemon/shell/shell.hpp"

#include <algorithm>

namespace vigil::shell {

namespace {

constexpr std::uint64_t guard_again_after = 1'000'000; // microseconds

} // namespace

/// Watched before it is looked, so that no switch falls between the two.
Result<> Shell::keep_consoles(Watched& watched, const std::vector<core::SavedTerminal>& terminals) {
    watched.consoles.clear();
    std::ranges::copy_if(terminals, std::back_inserter(watched.consoles),
                         [](const auto& one) { return one.lock_console != 0; });
    if (watched.consoles.empty())
        return {};
    if (!console_watch_) {
        auto watch = enforce::ConsoleWatch::create(loop_, [this] { guard_consoles(); });
        if (!watch)
            return std::unexpected{watch.error()};
        console_watch_ = std::move(*watch);
    }
    const bool alone = machine_.is_alone_at_consoles(watched.id);
    for (const auto& console : watched.consoles)
        if (auto guarded = enforce::guard_console(console, alone); !guarded)
            return guarded;
    return {};
}

/// Where a program keeps the locked console in front nothing tells when it stops to: whoever else
/// sits there could not leave it.
void Shell::guard_consoles() {
    Result<> first{};
    for (const auto& [id, watched] : watched_)
        for (const auto& console : watched.consoles)
            if (auto guarded = enforce::guard_console(console, machine_.is_alone_at_consoles(id));
                !guarded && first)
                first = std::move(guarded);
    if (!first && !guard_again_)
        base::log(base::Level::warning, "guarding a locked console: " + first.error().text());
    guard_again_.reset();
    sd_event_source* timer = nullptr;
    if (!first && sd_event_add_time_relative(loop_, &timer, CLOCK_BOOTTIME, guard_again_after, 0,
                                             on_guard_again, this) >= 0)
        guard_again_.reset(timer);
}

int Shell::on_guard_again(sd_event_source*, std::uint64_t, void* userdata) noexcept {
    try {
        static_cast<Shell*>(userdata)->guard_consoles();
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
    }
    return 0;
}

void Shell::forget_consoles(Watched& watched) {
    watched.consoles.clear();
    if (std::ranges::all_of(watched_,
                            [](const auto& one) { return one.second.consoles.empty(); })) {
        console_watch_.reset();
        guard_again_.reset();
    }
}

/// The lock console that asks for this one of its terminals; null: it asks at itself.
const core::SavedTerminal* Shell::console_of(const Watched& watched, std::uint64_t device) {
    const auto found = std::ranges::find(watched.consoles, device, &core::SavedTerminal::device);
    return found == watched.consoles.end() ? nullptr : &*found;
}

/// Where the keys of its prompts are typed.
std::vector<enforce::Terminal> Shell::places_of(const Watched& watched) const {
    auto places = watched.terminals;
    for (auto& place : places)
        if (const auto* console = console_of(watched, place.device))
            place = enforce::console(console->lock_console);
    return places;
}

} // namespace vigil::shell
