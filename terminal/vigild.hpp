#pragma once
// The prompt's questions to vigild, each on a connection of its own: vigild may be restarted
// at any time while a session is locked.

#include "base/error.hpp"
#include "wire/messages.hpp"
#include "wire/screen.hpp"

namespace vigil::terminal {

/// Errors: wire::is_away() or an answer of vigild's (wire/errors.hpp).
class Vigild {
public:
    Vigild(std::string socket, std::string session, std::string terminal)
        : socket_{std::move(socket)}, session_{std::move(session)}, terminal_{std::move(terminal)} {
    }

    Result<wire::LockInfo> lock_info() const;
    Result<> unlocked(const std::string& factor) const;
    Result<> screen_seen(wire::Screen screen, wire::Cursor cursor) const;
    /// Seconds to wait before the next answer.
    Result<std::uint64_t> unlock_failed() const;

private:
    std::string socket_;
    std::string session_;
    std::string terminal_;
};

} // namespace vigil::terminal
