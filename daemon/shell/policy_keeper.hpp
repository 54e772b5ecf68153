#pragma once
// The policy in force, and the last good one on disk: a broken file changes nothing, loudly, also
// across a restart and a reboot.

#include "base/error.hpp"
#include "base/time.hpp"
#include "policy/policy.hpp"

#include <string>
#include <string_view>

namespace vigil::shell {

class PolicyKeeper {
public:
    /// `path`: policy.yaml. `state`: the folder where its text is kept, root's alone. `runtime`:
    /// the folder of the socket, for the mark that a rule is about elevated sessions, so that
    /// pam_vigil.so asks nobody where none is (wire::elevated_mark), the one of the rules that ask
    /// for a proof at login (wire/login_mark.hpp), and the one that nothing is refused
    /// (wire/observing.hpp), which `state` has as well.
    /// `kernel_command_line` (proc_cmdline(5)): with wire::observe_word in it every policy only
    /// observes.
    PolicyKeeper(std::string path, std::string state, const std::string& runtime,
                 std::string_view kernel_command_line);

    /// Reads the file; if it is broken, the last good one (at start). Returns the policy to use.
    /// `usable()` is false if there is none at all: step-up is then refused, limits go unwatched.
    policy::Policy start(WallTime now);

    /// Reads the file again. An error leaves all as it was.
    Result<policy::Policy> reload(WallTime now);

    /// Whether the files are what is in force, byte for byte.
    bool is_as_read() const;

    bool usable() const noexcept { return usable_; }
    /// By a word on the kernel's command line, whatever any policy says.
    bool observes_only() const noexcept { return observe_only_; }
    const std::string& path() const noexcept { return path_; }
    const std::string& error() const noexcept { return error_; }
    /// Where the marks are, beside the socket.
    const std::string& runtime() const noexcept { return runtime_; }
    WallTime loaded() const noexcept { return loaded_; }

private:
    policy::Policy choose(WallTime now);
    Result<policy::Policy> load(WallTime now);
    void mark(const policy::Policy& policy) const;
    void mark_login_rules(const policy::Policy& policy) const;
    void mark_observing() const;

    std::string path_;
    std::string state_;
    std::string last_good_;
    std::string runtime_;
    std::string elevated_mark_;
    bool observe_only_ = false;
    bool usable_ = false;
    std::string digest_; ///< of the sources of the policy in force
    policy::Mode as_written_ =
        policy::Mode::enforce; ///< of the policy in force, whatever the kernel's word
    std::string error_;
    WallTime loaded_{};
};

} // namespace vigil::shell
