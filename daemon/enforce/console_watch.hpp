#pragma once
// Tells when another virtual console comes to the front (/sys/class/tty/tty0/active, which can be
// waited for).

#include "base/error.hpp"
#include "base/systemd.hpp"
#include "base/unique_fd.hpp"

#include <functional>
#include <memory>

namespace vigil::enforce {

class ConsoleWatch {
public:
    /// Attaches to the loop, which must outlive this. ENOENT: the machine has no virtual consoles.
    static Result<std::unique_ptr<ConsoleWatch>> create(sd_event* loop,
                                                        std::function<void()> switched);

private:
    ConsoleWatch(base::UniqueFd active, std::function<void()> switched) noexcept
        : active_{std::move(active)}, switched_{std::move(switched)} {}
    void arm() const noexcept;
    static int on_switch(sd_event_source*, int, std::uint32_t, void* userdata) noexcept;

    base::UniqueFd active_;
    std::function<void()> switched_;
    base::EventSource source_;
};

} // namespace vigil::enforce
