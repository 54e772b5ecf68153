#pragma once
// Whether vigil only observes on this host, for programs of the login path that cannot ask vigild:
// a file of root's beside its socket, which vigild writes, or a word for the kernel. What only
// observes refuses nobody by its absence either.

#include <string>
#include <string_view>

namespace vigil::wire {

/// Beside the socket; and in vigild's state folder, from where it comes back at a boot
/// (systemd/vigil-tmpfiles.conf).
inline constexpr const char* observing_mark = "observing";
/// The way back in for whoever can stop the boot loader (invariant 8).
inline constexpr std::string_view observe_word = "vigil.mode=observe";

/// Whether the kernel's command line (proc_cmdline(5)) has the word. What stands behind " -- " is
/// init's.
bool says_observe(std::string_view kernel_command_line) noexcept;

/// What cannot be told is a no. `socket`: vigild's. For when vigild has not answered: it reads
/// /proc/cmdline.
bool observes(const std::string& socket);

} // namespace vigil::wire
