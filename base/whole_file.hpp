#pragma once
// Files that are there whole or not at all.

#include "base/error.hpp"

#include <string>
#include <string_view>

#include <sys/types.h>

namespace vigil::base {

/// A new file in the place of the old one: a crash leaves one of them. `path`.new is its name until
/// then, and is overwritten. Errors: those of open(2), write(2), fsync(2) and rename(2).
Result<> write_whole(const std::string& path, std::string_view text, mode_t mode);

} // namespace vigil::base
