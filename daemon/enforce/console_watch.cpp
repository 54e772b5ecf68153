#include "daemon/enforce/console_watch.hpp"

#include "base/log.hpp"

#include <cerrno>

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

namespace vigil::enforce {

namespace {

constexpr const char* active_console = "/sys/class/tty/tty0/active";

} // namespace

Result<std::unique_ptr<ConsoleWatch>> ConsoleWatch::create(sd_event* loop,
                                                           std::function<void()> switched) {
    base::UniqueFd active{::open(active_console, O_RDONLY | O_CLOEXEC)};
    if (!active)
        return fail(errno, std::string{"opening "} + active_console);
    std::unique_ptr<ConsoleWatch> watch{new ConsoleWatch{std::move(active), std::move(switched)}};
    watch->arm();
    sd_event_source* source = nullptr;
    const int r =
        sd_event_add_io(loop, &source, watch->active_.get(), EPOLLPRI, on_switch, watch.get());
    if (r < 0)
        return fail(r, std::string{"watching "} + active_console);
    watch->source_.reset(source);
    return watch;
}

/// sysfs tells of changes since the last read.
void ConsoleWatch::arm() const noexcept {
    char name[16];
    (void)!::pread(active_.get(), name, sizeof name, 0);
}

int ConsoleWatch::on_switch(sd_event_source*, int, std::uint32_t, void* userdata) noexcept {
    try {
        const auto& watch = *static_cast<ConsoleWatch*>(userdata);
        watch.arm();
        watch.switched_();
    } catch (const std::exception& error) {
        base::log(base::Level::error, error.what());
    }
    return 0;
}

} // namespace vigil::enforce
