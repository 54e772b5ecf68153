#pragma once
// Folders of procfs whose entries are numbers.

#include "base/error.hpp"

#include <functional>
#include <memory>
#include <string>

#include <dirent.h>

namespace vigil::base {

struct DirectoryDeleter {
    void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

/// Owns a directory stream (opendir(3)).
using Directory = std::unique_ptr<DIR, DirectoryDeleter>;

/// Calls `use(number)` for the entries of a folder of procfs whose names are numbers, until it
/// returns false. A folder that cannot be opened is an error, one that goes away meanwhile ends.
Result<> for_numbers_in(const std::string& directory,
                        const std::function<bool(int folder, int number)>& use);

} // namespace vigil::base
