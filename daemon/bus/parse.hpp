#pragma once
// What a caller sent, taken apart. What cannot be taken apart is the caller's mistake, and comes
// back as code_invalid.

#include "base/process.hpp"
#include "daemon/bus/api.hpp"
#include "wire/codec.hpp"
#include "wire/errors.hpp"

namespace vigil::bus {

template <typename T>
Result<T> read(const Call& call) {
    auto value = wire::read<T>(call.arguments());
    if (!value)
        return fail(wire::code_invalid, value.error().what);
    return value;
}

/// A process that a message brings, by its pidfd. It stays open, so that what was read under the
/// process's number can be known to be its own: see has_ended().
struct Brought {
    base::UniqueFd pidfd;
    base::Process process;
    base::ProcessStat stat; ///< when it was brought

    pid_t pid() const noexcept { return process.pid; }
    bool has_ended() const noexcept { return base::has_ended(pidfd.get()); }
};

Result<Brought> read_process(const Call& call);

/// Where the kernel has it sit, and who runs it: the way back in hangs on no field of a message.
bool is_roots_at_console(const Brought& leader);

Result<core::SessionId> read_session(const Call& call);

/// Why nobody is asked for a proof who would have to bring one.
inline constexpr const char* no_policy = "vigil has no policy it can read: see `vigilctl status`.";

} // namespace vigil::bus
