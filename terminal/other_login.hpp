#pragma once
// At a lock console switching is held, so that it has to lead to a login for somebody else by
// itself, also with vigild away (console_ioctl(4)). The locked session's own console shows nothing
// and takes no key whoever comes there.

#include "base/error.hpp"

namespace vigil::terminal {

/// Lets switching go and brings a console to the front where a login waits, or asks PID 1 to start
/// one (getty@.service). `console` is any open virtual console. ENOSPC: all are in use.
Result<> offer_login(int console);

/// Lets switching go.
void free_switching(int console) noexcept;

} // namespace vigil::terminal
