#pragma once
// The module's arguments in the PAM file. The failure mode stands here, and not in the policy,
// because the policy may be what is broken.

#include <string>
#include <vector>

namespace vigil::pam {

struct Options {
    /// What account answers when vigild cannot be asked.
    enum class Unavailable {
        by_table, ///< limits: go on; step-up: refuse
        allow,    ///< where it is down (wire::is_down()); by_table in any other case
        deny,
    };

    Unavailable unavailable = Unavailable::by_table;
    bool debug = false;
    bool prepare = false;  ///< this session line stands before pam_systemd's
    bool elevated = false; ///< this session line is for sudo, su and pkexec
    /// This auth line is about who has shown sshd a key, and about nobody else.
    bool after_key = false;
    std::string socket;

    /// Arguments that say nothing we know. They change nothing: a slip of the pen neither locks
    /// anybody out nor opens what stands closed.
    std::vector<std::string> unknown;
};

Options parse_options(int argc, const char** argv);

} // namespace vigil::pam
