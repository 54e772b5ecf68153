#include "daemon/enforce/hung_children.hpp"

#include "base/clock.hpp"
#include "base/process.hpp"

#include <algorithm>
#include <csignal>
#include <utility>

namespace vigil::enforce {

bool HungChildren::refuses(std::uint64_t user) {
    const BootTime now = base::read_boot_time();
    std::erase_if(hung_, [&](const Hung& one) {
        return one.until <= now && base::has_ended(one.child.get());
    });
    return hung_.size() >= most_ || std::ranges::count(hung_, user, &Hung::user) > 0;
}

void HungChildren::give_up(base::UniqueFd child, std::uint64_t user) {
    static_cast<void>(base::send_signal(child.get(), SIGKILL));
    hung_.push_back(
        {.child = std::move(child), .user = user, .until = base::read_boot_time() + rest_});
}

} // namespace vigil::enforce
