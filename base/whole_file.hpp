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

/// Until which names stand in a folder is on disk, so that a power cut brings back none that was
/// removed and loses none that is new. That the file system knows no such thing (EINVAL) is no
/// error: there is nothing more to be had. Errors: those of open(2) and fsync(2); after one of
/// fsync's nobody knows what is on disk, and asking once more proves nothing.
Result<> sync_folder(const std::string& folder);

} // namespace vigil::base
