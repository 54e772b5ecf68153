#pragma once
// Where a path leads, and whether it stays so.

#include "base/error.hpp"

#include <string>

namespace vigil::sudo {

struct Walked {
    std::string path; ///< without links, `.` and `..`
    /// Each folder, each link on the way and the file itself are root's, and nobody else can write
    /// there: what is decided about the file is still so when it is run.
    bool settled = true;
};

/// `path` is absolute. `root`: the folder that it begins at, "/" but for sudo's chroot; the result
/// has it in front. Errors: those of openat2(2); ELOOP beyond 40 links (path_resolution(7)), and
/// where a link of proc(5) is on the way, as /proc/self/cwd; ESTALE: it leads elsewhere meanwhile.
Result<Walked> walk(const std::string& root, const std::string& path);

} // namespace vigil::sudo
