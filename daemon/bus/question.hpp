#pragma once
// What a privileged command's asker brings, for the files that answer it.

#include "daemon/bus/parse.hpp"

namespace vigil::bus {

struct Question {
    Brought process;
    wire::StepUpRequest request;
    std::optional<policy::Command> command; ///< nullopt: not known, as where PAM asks
    std::string directory;                  ///< where it runs; "": not known
    bool is_sudos = false;                  ///< the plugin asks, which knows whose sudo it is
    std::optional<std::string> after;       ///< of a login: what it has shown before
};

enum class With { nothing, command, login };

Result<Question> read_question(const Call& call, With with);

} // namespace vigil::bus
