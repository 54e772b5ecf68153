#pragma once
#include <optional>
#include <string>

#include <security/pam_modules.h>
#include <sys/types.h>

namespace vigil::pam {

/// Why a user may not get in, if `vigilctl block` left a mark: a regular file of root's named after
/// the uid in the directory `blocked` beside vigild's socket. Holds with vigild dead, which is what
/// the mark is for.
std::optional<std::string> blocked(pam_handle_t* pam, const std::string& socket, uid_t uid);

} // namespace vigil::pam
