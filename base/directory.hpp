#pragma once
#include <memory>

#include <dirent.h>

namespace vigil::base {

struct DirectoryDeleter {
    void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

/// Owns a directory stream (opendir(3)).
using Directory = std::unique_ptr<DIR, DirectoryDeleter>;

} // namespace vigil::base
