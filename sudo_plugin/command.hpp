#pragma once
// What sudo is about to run, from what it tells its plugins (sudo_plugin(5): command_info,
// run_argv, run_envp).

#include "base/error.hpp"
#include "wire/messages.hpp"

#include <string>

namespace vigil::sudo {

/// sudo's lists of one command, as they are handed to check().
struct Told {
    char* const* command_info = nullptr;
    char* const* argv = nullptr;
    char* const* environment = nullptr;
};

/// `directory`: what relative paths are relative to. A program that cannot be looked at is not
/// known; so may a file of sudoedit be (see wire::Command).
wire::Command command_of(const Told& told, const std::string& directory);

/// Whom it runs as; "": by the user's name alone that is not said, since it runs in another group
/// than his (`sudo -g`). An error: sudo does not say, or says the uid -1 (CVE-2019-14287), or the
/// user database cannot be asked.
Result<std::string> run_as_of(char* const* command_info);

} // namespace vigil::sudo
