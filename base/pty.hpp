#pragma once
// Pseudo-terminals by their numbers: /dev/pts/INDEX (Documentation/admin-guide/devices.txt).

#include <optional>

#include <sys/sysmacros.h>
#include <sys/types.h>

namespace vigil::base {

inline constexpr unsigned first_pty_major = 136;
inline constexpr unsigned last_pty_major = 143;
inline constexpr unsigned ptys_of_a_major = 256;

/// nullopt: the device is no pty.
inline std::optional<unsigned> pty_index(dev_t device) noexcept {
    const unsigned number = major(device);
    if (number < first_pty_major || number > last_pty_major)
        return std::nullopt;
    return (number - first_pty_major) * ptys_of_a_major + minor(device);
}

inline dev_t pty_device(unsigned index) noexcept {
    return makedev(first_pty_major + index / ptys_of_a_major, index % ptys_of_a_major);
}

} // namespace vigil::base
