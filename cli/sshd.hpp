#pragma once
// What sshd's configuration comes to. The whole, with the files it includes and the defaults, only
// sshd can read; a Match block counts for connections, which nobody can look through.

#include "base/error.hpp"

#include <optional>
#include <string>

namespace vigil::cli {

/// Its program; nullopt: none is there.
std::optional<std::string> sshd_program();

/// What `sshd -T` says; for root alone, and given up after some seconds.
Result<std::string> sshd_settings(const std::string& program);

} // namespace vigil::cli
