#pragma once
// Where the person is who types: at which terminals, and so in which sessions. logind knows in
// which session a process was started, and in tmux that may be another than the person's.

#include "base/error.hpp"
#include "cli/relays.hpp"
#include "wire/messages.hpp"

#include <functional>
#include <string>
#include <vector>

namespace vigil::cli {

struct Seat {
    wire::Session session;
    std::vector<std::string> terminals; ///< "pts/3"; none: the caller runs right there
};

struct Seats {
    std::vector<Seat> seats;
    std::vector<std::string> strange; ///< terminals that show this too, of none of the sessions
};

/// What is known of this host beside the sessions.
struct Surroundings {
    dev_t terminal = 0; ///< the caller's controlling terminal; 0: none
    std::vector<Relay> relays;
    bool is_in_screen = false;                       ///< as $STY and $TMUX have it
    std::function<dev_t(const std::string&)> device; ///< of "pts/3"; 0: there is none
    /// logind's id of the session that a process (0: this one) was started in; "": none.
    std::function<std::string(pid_t)> started_in;
};

/// Errors: ESRCH, it cannot be told.
Result<Seats> find_seats(const std::vector<wire::Session>& sessions, const Surroundings& host);

/// The session that a process (0: this one) was started in, as logind calls it; "": none.
std::string logind_session_of(pid_t pid);

/// Those of the process that calls.
Result<Seats> own_seats(const std::vector<wire::Session>& sessions);

} // namespace vigil::cli
