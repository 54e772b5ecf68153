#pragma once
// What a security key signs for vigil: what it is for, so that a signature given for one thing is
// good for no other, on no other host and not a second time. Pure.

#include "base/error.hpp"

#include <array>
#include <cstdint>
#include <string>

namespace vigil::wire {

struct Challenge {
    enum class Purpose : std::uint8_t {
        enroll = 1,  ///< the key is to count from now on
        manage = 2,  ///< factors are to be changed by who has one
        step_up = 3, ///< a privileged command
        unlock = 4,
        login = 5,
    };

    Purpose purpose = Purpose::enroll;
    std::string host; ///< vigild's own name of it
    std::string user;
    // "" where there is none, or where it is not known.
    std::string session;
    std::string terminal;
    std::string run_as;
    std::string command_digest; ///< SHA-256 of what is to be run; 32 bytes
    /// Random, and vigild's: it takes each once.
    std::array<std::uint8_t, 32> nonce{};

    bool operator==(const Challenge&) const = default;
};

/// The bytes that are signed: the same for no two challenges. They begin with a word that nothing
/// else that ssh's keys sign begins with: a login's data begin with the length of its session id
/// (RFC 4252, 7), files' signatures with SSHSIG.
std::string bytes_of(const Challenge& challenge);

} // namespace vigil::wire
