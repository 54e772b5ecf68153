#pragma once
#include <string>
#include <string_view>

#include <sys/types.h>

namespace vigil::base {

/// Whether a terminal is the machine's own: a virtual console, a line of a serial port, a
/// hypervisor's console, by its device number (Linux's devices.txt; field 7 of /proc/PID/stat has
/// it for a process). A container has none of these: there it is the terminal that its manager put
/// at /dev/console, which only root can.
bool is_console(dev_t terminal) noexcept;

/// The number of a virtual console, 1 to 63; 0: the device is none.
unsigned virtual_console(dev_t device) noexcept;

/// "/dev/tty13" or "tty13" -> 13; 0: not the name of a virtual console.
unsigned virtual_console(std::string_view name) noexcept;

/// The device of the virtual console of that number, whether it is there or not.
dev_t virtual_console_device(unsigned number) noexcept;

/// Whether this process has a controlling terminal.
bool has_terminal() noexcept;

/// As it is called under /dev: "pts/3", "tty1", "ttyS0"; of others the two numbers of the device,
/// as "229:0", for nothing is looked up.
std::string terminal_name(dev_t device);

} // namespace vigil::base
