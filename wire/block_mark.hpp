#pragma once
// The mark of a blocked user: a file of root's beside vigild's socket, named after his number, for
// programs of the login path that cannot ask vigild. vigild writes it, wire/ reads it.

#include "base/time.hpp"

#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace vigil::wire {

/// Where the marks are, beside the socket.
inline constexpr const char* blocked_folder = "blocked";
/// A mark that is longer is not read. vigild writes none such.
inline constexpr std::size_t max_mark_bytes = 4096;

/// Which boot `until` is of the mark does not say. /run goes with its boot; and of one that was
/// brought from before it (systemd/vigil-tmpfiles.conf) a clock that began anew reaches `until` no
/// sooner than the whole block has lasted; vigild puts that right at its start. The kernel's
/// boot_id would say it wrongly: in containers it differs by mount namespace, so by unit.
struct BlockMark {
    std::string line;                 ///< what who is refused is told
    BootTime until = BootTime::max(); ///< max(): it has no end
};

/// Two lines, each with its newline.
std::string text_of(const BlockMark& mark);
/// What is wrong with a mark takes nothing from its force: without a second line as above it has no
/// end. What stands behind that is not looked at.
BlockMark mark_of(std::string_view text);

/// Why this user is refused where vigild cannot be asked. nullopt: he has no mark, or the time of
/// his mark is over. Whatever else is found under its name (a link, a pipe, another user's file,
/// one that cannot be read) blocks him: nobody but root can have put it there. Where the folder is
/// none, or may not be looked into, everybody but root is refused; where there is none nobody is
/// blocked. UINT32_MAX, a login uid that was never set, is nobody. `socket`: vigild's. It costs an
/// lstat(2), and where anybody has a mark an open(2) that fails.
std::optional<std::string> blocked_by_mark(const std::string& socket, uid_t uid);

/// The same of who runs the calling process, and of whose login it is in.
std::optional<std::string> blocked_by_mark_here(const std::string& socket, uid_t runner);

} // namespace vigil::wire
