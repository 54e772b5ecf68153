#pragma once
// A wait inside another program that its user may end with Ctrl-C.

#include "base/unique_fd.hpp"

#include <csignal>

namespace vigil::base {

/// What ends a host, or has it end what it does (SIGINT, SIGQUIT, SIGTERM, SIGHUP): while this
/// lives such a signal waits, and can be seen waiting. It is the host's all the same, as soon as
/// this ends: nothing is taken from it. What the host ignores, or keeps waiting itself, is nothing
/// to stop for. For the thread that makes it; no disposition is changed.
class Interruption {
public:
    Interruption();
    Interruption(const Interruption&) = delete;
    Interruption& operator=(const Interruption&) = delete;
    ~Interruption();

    /// Readable once there is one (signalfd(2)); not to be read. -1: nothing can be seen.
    int fd() const noexcept { return fd_.get(); }

private:
    sigset_t before_;
    UniqueFd fd_;
};

} // namespace vigil::base
