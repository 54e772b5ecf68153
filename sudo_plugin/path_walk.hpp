#pragma once
// Where a path leads, and whether it stays so.

#include "base/error.hpp"
#include "base/unique_fd.hpp"

#include <map>
#include <string>
#include <utility>

#include <sys/stat.h>

namespace vigil::sudo {

struct Walked {
    std::string path; ///< without links, `.` and `..`
    /// Each folder, each link on the way and the file itself are root's, and nobody else can write
    /// there: what is decided about the file is still so when it is run.
    bool settled = true;
};

/// Nodes that are kept open from one walk to the next: a command line can name any number.
inline constexpr std::size_t max_known_nodes = 256;

/// One command's walks: what they have looked at on the way they look at once.
class Walker {
public:
    /// `root`: the folder that paths begin at, "/" but for sudo's chroot; results have it in front.
    explicit Walker(std::string root = "/") : root_{std::move(root)} {}

    /// `path` is absolute. Errors: those of openat2(2); ELOOP beyond 40 links (path_resolution(7)),
    /// and where a link of proc(5) is on the way, as /proc/self/cwd; ESTALE: it leads elsewhere
    /// meanwhile.
    Result<Walked> to(const std::string& path);

private:
    class Walk;

    struct Node {
        base::UniqueFd fd;
        struct stat found{};
    };

    const std::string root_;
    std::map<std::string, Node> known_; ///< by the path below the root, "" for that
};

} // namespace vigil::sudo
