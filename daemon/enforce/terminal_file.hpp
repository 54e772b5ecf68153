#pragma once
// What the parts of terminals.hpp share: opening a terminal from outside its session without
// becoming part of it or waiting for it.

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "daemon/enforce/terminals.hpp"

namespace vigil::enforce {

/// O_NOCTTY, O_NONBLOCK. ENOENT: gone, also where the path is another device by now, or one that
/// has hung up.
///
/// A program may have set that nobody else opens the terminal (TIOCEXCL, ioctl_tty(2)), and only
/// CAP_SYS_ADMIN passes that by, which vigild has not. Then a process of the `scope` or the lock's
/// prompt lends its descriptor, with which the flag is taken away for good. Who sets it each time
/// anew changes nothing: what was lent is returned itself, and that may be one without O_NONBLOCK,
/// which is not to be written to (may_block()). EBUSY: nobody lends any.
Result<base::UniqueFd> open_terminal(const std::string& path, std::uint64_t device,
                                     const std::string& scope = {});

/// Who could make others wait at the terminal (aside.hpp). Of one that is root's nobody knows any
/// more: there it is the terminal itself. `owner`: who it was before, if that is known.
std::uint64_t culprit(const std::string& path, uid_t owner = 0);

/// Whether a write to this terminal could have to wait.
bool may_block(int fd) noexcept;

inline constexpr const char* pty_directory = "/dev/pts";

/// Whether its node is one of that folder, which goes with the terminal, and whose number is used
/// again. A container's console is a pty too, and stays.
bool has_pty_node(const Terminal& terminal) noexcept;

/// The terminal of a pty's number.
Result<Terminal> pty_terminal(std::uint32_t index);

/// The terminal of a device number, through /sys/dev/char; for consoles and serial lines.
Result<Terminal> terminal_of(std::uint64_t device);

} // namespace vigil::enforce
