#pragma once
// vigilctl's verbs, a file a group. Each adds its subcommands; their callbacks run in CLI11's parse
// and leave the exit status in the context.

#include "cli/output.hpp"

#include <CLI/CLI.hpp>

namespace vigil::cli {

struct Context {
    std::string socket; ///< --socket; "" for the usual way
    Look look;          ///< of stdout
    Now now;
    int status = 0;
};

void add_session_commands(CLI::App& app, Context& context);
void add_factor_commands(CLI::App& app, Context& context);
void add_policy_commands(CLI::App& app, Context& context);
void add_status_commands(CLI::App& app, Context& context);
void add_rescue_commands(CLI::App& app, Context& context);

} // namespace vigil::cli
