#pragma once
// The policy in force, and the last good one on disk: a broken file changes nothing, loudly, also
// across a restart and a reboot.

#include "base/error.hpp"
#include "base/time.hpp"
#include "policy/policy.hpp"

#include <string>

namespace vigil::shell {

class PolicyKeeper {
public:
    /// `path`: policy.yaml. `last_good`: where its text is kept, root's alone.
    PolicyKeeper(std::string path, std::string last_good)
        : path_{std::move(path)}, last_good_{std::move(last_good)} {}

    /// Reads the file; if it is broken, the last good one (at start). Returns the policy to use.
    /// `usable()` is false if there is none at all: step-up is then refused, limits go unwatched.
    policy::Policy start(WallTime now);

    /// Reads the file again. An error leaves all as it was.
    Result<policy::Policy> reload(WallTime now);

    bool usable() const noexcept { return usable_; }
    const std::string& path() const noexcept { return path_; }
    const std::string& error() const noexcept { return error_; }
    WallTime loaded() const noexcept { return loaded_; }

private:
    std::string path_;
    std::string last_good_;
    bool usable_ = false;
    std::string error_;
    WallTime loaded_{};
};

} // namespace vigil::shell
