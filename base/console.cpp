#include "base/console.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace vigil::base {

namespace {

constexpr unsigned consoles = 4;             // tty1 to tty63 and, from 64 on, ttyS
constexpr unsigned low_density_serial = 204; // ttyAMA, ttySC and other ports of small machines
constexpr unsigned hypervisor = 229;         // hvc

} // namespace

bool is_console(dev_t terminal) noexcept {
    switch (major(terminal)) {
    case consoles:
        return minor(terminal) != 0; // tty0 is whichever console is in front
    case low_density_serial:
    case hypervisor:
        return true;
    default:
        break;
    }
    struct stat status{};
    return terminal != 0 && ::stat("/dev/console", &status) == 0 && S_ISCHR(status.st_mode) &&
           status.st_rdev == terminal;
}

} // namespace vigil::base
