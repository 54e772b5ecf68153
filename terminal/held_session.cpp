#include "terminal/held_session.hpp"

#include "base/cgroup.hpp"
#include "base/clock.hpp"

#include <cerrno>

#include <poll.h>

namespace vigil::terminal {

HeldSession::HeldSession(std::string held, const base::Process& leader) : held_{std::move(held)} {
    if (!held_.empty())
        if (auto pidfd = base::open_pidfd(leader))
            leader_ = std::move(*pidfd);
}

void HeldSession::remember(const wire::LockInfo& info) {
    held_ = info.held;
    if (leader_ || info.leader == 0)
        return;
    if (auto leader = base::open_pidfd(static_cast<pid_t>(info.leader)))
        leader_ = std::move(*leader);
}

bool HeldSession::stands_still() const {
    const auto has_line = [this](const char* file, const char* line) {
        const auto text = base::read_cgroup_file(held_, file);
        return text && base::has_part(*text, line, "\n");
    };
    return !has_line("cgroup.freeze", "1") || !has_line("cgroup.events", "frozen 0");
}

bool HeldSession::wait_for_end(Microseconds patience) const noexcept {
    const BootTime deadline = base::read_boot_time() + patience;
    while (true) {
        pollfd waited{.fd = leader_.get(), .events = POLLIN, .revents = 0};
        const int ready = poll(&waited, 1, base::milliseconds_until(deadline));
        if (ready >= 0 || errno != EINTR)
            return ready > 0;
    }
}

Result<> HeldSession::end() const {
    return base::end_frozen_cgroup(held_);
}

} // namespace vigil::terminal
