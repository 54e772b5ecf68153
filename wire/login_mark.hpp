#pragma once
// The mark of the rules that ask for a proof at login: a file of root's beside vigild's socket, for
// a login by which PAM's auth phase was not come to and that cannot ask vigild. vigild writes it,
// wire/ reads it.

#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace vigil::wire {

inline constexpr const char* login_mark = "login-factors";
/// One that is longer is not read, and asks everybody.
inline constexpr std::size_t max_login_mark_bytes = 256 * 1024;

/// What one rule of the policy says of a proof at login, as far as it is about persons and
/// services. All given conditions hold; an empty list is none.
struct LoginRule {
    bool asks = true;
    std::vector<std::string> users;
    std::vector<std::string> groups;
    std::vector<std::string> services;
};

struct Entrant {
    std::string_view user;
    uid_t uid = 0;
    const std::vector<std::string>* groups =
        nullptr; ///< nullptr: nobody can tell, so in doubt he is asked
    std::string_view service;
};

/// A line a rule, in their order: the first that matches counts.
std::string text_of(const std::vector<LoginRule>& rules);
/// A line that cannot be understood asks everybody.
bool asks(std::string_view mark, const Entrant& entrant);

/// Whether a login needs a proof that vigild cannot judge now. Never root's, who has to mend that,
/// and of sshd and login alone, which let somebody in past the auth phase. What cannot be read asks
/// everybody: nobody but root can have put it there. `socket`: vigild's.
bool needs_proof_by_mark(const std::string& socket, const Entrant& entrant);

} // namespace vigil::wire
