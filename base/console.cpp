#include "base/console.hpp"

#include "base/unique_fd.hpp"

#include <charconv>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace vigil::base {

namespace {

// Documentation/admin-guide/devices.txt
constexpr unsigned consoles = 4; // tty1 to tty63 and, from 64 on, ttyS
constexpr unsigned last_virtual = 63;
constexpr unsigned low_density_serial = 204; // ttyAMA, ttySC and other ports of small machines
constexpr unsigned hypervisor = 229;         // hvc
constexpr unsigned pseudo = 136;             // pts/0 and so on; the kernel counts its minors on

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

unsigned virtual_console(dev_t device) noexcept {
    return major(device) == consoles && minor(device) <= last_virtual ? minor(device) : 0;
}

unsigned virtual_console(std::string_view name) noexcept {
    constexpr std::string_view folder = "/dev/";
    constexpr std::string_view prefix = "tty";
    if (name.starts_with(folder))
        name.remove_prefix(folder.size());
    if (!name.starts_with(prefix))
        return 0;
    name.remove_prefix(prefix.size());
    unsigned number = 0;
    const char* const end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data(), end, number);
    return error == std::errc{} && stop == end && number <= last_virtual ? number : 0;
}

bool has_terminal() noexcept {
    return static_cast<bool>(UniqueFd{::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)});
}

std::string terminal_name(dev_t device) {
    const unsigned kind = major(device);
    const unsigned number = minor(device);
    if (kind == pseudo)
        return "pts/" + std::to_string(number);
    if (kind == consoles)
        return number <= last_virtual ? "tty" + std::to_string(number)
                                      : "ttyS" + std::to_string(number - last_virtual - 1);
    return std::to_string(kind) + ":" + std::to_string(number);
}

dev_t virtual_console_device(unsigned number) noexcept {
    return makedev(consoles, number);
}

} // namespace vigil::base
