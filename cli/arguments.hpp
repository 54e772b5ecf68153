#pragma once
// vigilctl's command line.

#include "cli/commands.hpp"

namespace vigil::cli {

/// Runs the verb that the words name; the exit status. Words that make no sense are told on stderr
/// in one line.
int run(int argc, char** argv, Context& context);

} // namespace vigil::cli
