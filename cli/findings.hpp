#pragma once
// What `vigilctl doctor` shows: findings of one shape, wherever they come from, and the readers of
// some files that they are about. Pure.

#include "cli/output.hpp"
#include "wire/grade.hpp"

#include <optional>

namespace vigil::cli {

using wire::Grade;

struct Finding {
    std::string check; ///< what was looked at: a word or two that stay
    Grade grade = Grade::failure;
    std::string found;        ///< one line
    std::string mend = {};    ///< what mends it; "": nothing to mend, or nothing can
    std::string session = {}; ///< the id of the session that it is about
    bool looked_at = true;    ///< false: nobody knows, so it is never ok
};

/// What could not be looked at is a warning.
Finding not_looked_at(std::string check, const std::string& why, std::string mend = {});

/// vigild's own. Of a result that is no word of ours nobody knows what it means.
Finding finding_of(const wire::Finding& finding);

/// What is to be told of a session: all of one that is locked, and of any other what a lock would
/// leave free. nullopt: nothing.
std::optional<Finding> finding_of(const wire::Session& session);

/// ok where there is none.
Grade worst(const std::vector<Finding>& findings) noexcept;

nlohmann::ordered_json to_json(const std::vector<Finding>& findings);
/// A line each, what mends it below, and a line that counts.
std::string findings_text(const std::vector<Finding>& findings, Look look);

/// What a unit's drop-in says last of Delegate= in [Scope] (systemd.resource-control(5)). nullopt:
/// nothing. A list of controllers is a yes, as for systemd, and an empty one too.
std::optional<bool> delegate_in(std::string_view drop_in);

/// The settings by which sshd makes forwards of TCP or UNIX sockets over any connection that no
/// Match block is about: "AllowTcpForwarding yes". `settings`: what `sshd -T` says. nullopt: not
/// that.
std::optional<std::vector<std::string>> forwards_in(std::string_view settings);

} // namespace vigil::cli
