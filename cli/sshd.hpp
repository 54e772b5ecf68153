#pragma once
// What sshd's configuration comes to. The whole, with the files it includes and the defaults, only
// sshd can read; a Match block counts for connections, which nobody can look through.

#include "base/error.hpp"
#include "cli/findings.hpp"

#include <expected>
#include <optional>
#include <string>

namespace vigil::cli {

/// Its program; nullopt: none is there.
std::optional<std::string> sshd_program();

/// What `sshd -T` says; for root alone, and given up after some seconds.
Result<std::string> sshd_settings(const std::string& program);

/// The same for a check of this name; without them what there is to say: `without` where no sshd is
/// there, or why they could not be looked at.
std::expected<std::string, Finding> sshd_settings_for(const char* check, const char* without);

} // namespace vigil::cli
