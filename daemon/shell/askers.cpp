// Processes that wait for somebody's approval: when one ends, nobody needs to answer any more.

#include "base/log.hpp"
#include "daemon/shell/shell.hpp"

#include <sys/epoll.h>

namespace vigil::shell {

/// One that cannot be watched is as good as gone: a request nobody waits for is not approved.
void Shell::perform(const core::WatchAsker& effect) {
    auto process = base::open_pidfd(effect.asker);
    sd_event_source* source = nullptr;
    auto& asker = askers_[effect.request];
    asker.shell = this;
    asker.request = effect.request;
    if (process)
        asker.process = std::move(*process);
    if (!process ||
        sd_event_add_io(loop_, &source, asker.process.get(), EPOLLIN, on_asker_gone, &asker) < 0) {
        askers_.erase(effect.request);
        events_.push_back(core::AskerGone{effect.request});
        return;
    }
    asker.source.reset(source);
}

void Shell::perform(const core::ForgetAsker& effect) {
    askers_.erase(effect.request);
}

/// The event ends in a ForgetAsker, which frees the source: not while it is the one that runs.
int Shell::on_asker_gone(sd_event_source* source, int, std::uint32_t, void* userdata) noexcept {
    const base::EventSource kept{sd_event_source_ref(source)};
    try {
        const auto& asker = *static_cast<Asker*>(userdata);
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        asker.shell->dispatch(core::AskerGone{asker.request});
    } catch (const std::exception& error) {
        base::log(base::Level::error, error.what());
    }
    return 0;
}

} // namespace vigil::shell
