#pragma once
// Patterns for paths and arguments, with fewer surprises than fnmatch(3) has.

#include <string_view>

namespace vigil::base {

/// `*` is any run of characters and `?` any one; neither is a `/`, nor a part of the name `.` or
/// `..`, nor an empty name beside a `/`, nor the `-` that `text` begins with. Everything else is
/// itself. A character is one of UTF-8, and a byte where it is none.
bool glob_matches(std::string_view glob, std::string_view text) noexcept;

} // namespace vigil::base
