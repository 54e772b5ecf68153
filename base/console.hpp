#pragma once
#include <sys/types.h>

namespace vigil::base {

/// Whether a terminal is the machine's own: a virtual console, a line of a serial port, a
/// hypervisor's console, by its device number (Linux's devices.txt; field 7 of /proc/PID/stat has
/// it for a process). A container has none of these: there it is the terminal that its manager put
/// at /dev/console, which only root can.
bool is_console(dev_t terminal) noexcept;

} // namespace vigil::base
