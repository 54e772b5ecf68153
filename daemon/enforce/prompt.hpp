#pragma once
// vigil-lock as a transient unit of PID 1, one a terminal (org.freedesktop.systemd1(5),
// StartTransientUnit): it lives on when vigild is killed, and PID 1 starts it anew when it is.

#include "daemon/core/records.hpp"
#include "daemon/enforce/service_manager.hpp"
#include "daemon/enforce/terminals.hpp"

#include <functional>
#include <optional>
#include <vector>

namespace vigil::enforce {

/// "vigil-lock-<session>-pts-3.service"
std::string prompt_unit(const core::SessionId& session, const std::string& terminal_path);

/// The session whose prompts stand at these terminals, by the names of their units: for a store
/// that was lost. nullopt: there are none.
std::optional<core::SessionId> prompted_session(const std::vector<Terminal>& terminals);

/// Where the prompt for this terminal asks now, by its command line. nullopt: none runs.
std::optional<std::string> place_of_prompt(const core::SessionId& session,
                                           const std::string& terminal_path);

/// Those of the prompt that stands at a terminal, whichever session's it is.
std::vector<pid_t> prompt_processes_at(const Terminal& terminal);

/// Asks PID 1, without waiting, to start the prompt for a terminal; that one is running already is
/// success. `lock_console`: path of the console where it asks; "": at the terminal itself. Failures
/// are told to `on_failure` with a line.
Result<> start_prompt(ServiceManager& pid1, const core::SessionRecord& known,
                      const std::string& terminal_path, const std::string& lock_console,
                      std::function<void(const std::string&)> on_failure);

/// Has it end before the terminal is given back: it would read what is typed to the session next.
/// PID 1's stop comes too late for that.
void dismiss_prompt(const core::SessionId& session, const std::string& terminal_path);

/// Has another take its place, which asks anew what it has to say. Nothing where there is none.
void renew_prompt(const core::SessionId& session, const std::string& terminal_path);

/// Stops it, without waiting.
Result<> stop_prompt(ServiceManager& pid1, const core::SessionId& session,
                     const std::string& terminal_path);

} // namespace vigil::enforce
