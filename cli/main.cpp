// vigilctl(1).

#include "base/clock.hpp"
#include "base/log.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "wire/errors.hpp"

#include <charconv>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace {

/// A side of the window: as the environment says, as the terminal says, as terminals once were.
std::size_t side(const char* variable, unsigned short terminals, std::size_t usual) {
    const char* const text = std::getenv(variable);
    std::size_t number = 0;
    if (text != nullptr &&
        std::from_chars(text, text + std::strlen(text), number).ec == std::errc{} && number > 0 &&
        number < 10'000)
        return number;
    return terminals > 0 ? terminals : usual;
}

/// The C locale has no characters but ASCII's, yet says nothing of the terminal: that is UTF-8, as
/// nearly all are. A locale with another charset was chosen for a terminal that has it.
vigil::cli::Modules modules(std::string_view charset, bool dumb) {
    using enum vigil::cli::Modules;
    if (dumb)
        return none;
    return charset == "UTF-8" || charset == "ANSI_X3.4-1968" ? block : hash;
}

vigil::cli::Look look_of_stdout() {
    const char* const no_colour = std::getenv("NO_COLOR");
    const char* const term = std::getenv("TERM");
    const bool dumb = term != nullptr && std::strcmp(term, "dumb") == 0;
    const std::string_view charset = nl_langinfo(CODESET);
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        size = {};
    return {.width = side("COLUMNS", size.ws_col, 80),
            .colour =
                isatty(STDOUT_FILENO) != 0 && !dumb && (no_colour == nullptr || *no_colour == 0),
            .utf8 = charset == "UTF-8",
            .height = side("LINES", size.ws_row, 24),
            .modules = modules(charset, dumb)};
}

/// One line: what is wrong, with which command, where help is.
void complain(const CLI::App& app, const CLI::ParseError& error) {
    const CLI::App* command = &app;
    std::string name = app.get_name();
    while (!command->get_subcommands().empty()) {
        command = command->get_subcommands().front();
        name += " " + command->get_name();
    }
    const auto unknown = command->remaining();
    const bool wants_command = !command->get_subcommands({}).empty();
    std::string what = error.what();
    if (wants_command && unknown.empty())
        what = "a command is missing";
    else if (wants_command)
        what = "there is no command `" + vigil::base::escape(unknown.front()) + "`";
    else if (!unknown.empty())
        what = "`" + vigil::base::escape(unknown.front()) + "` was not expected";
    std::fprintf(stderr, "%s: %s; see `%s --help`\n", name.c_str(), what.c_str(), name.c_str());
}

} // namespace

int main(int argc, char** argv) try {
    std::setlocale(LC_ALL, "");
    vigil::wire::register_errors();
    vigil::cli::Context context;
    context.look = look_of_stdout();
    context.now = vigil::base::read_clocks();
    CLI::App app{"Watches over login sessions: the operator's and the user's tool.", "vigilctl"};
    app.set_version_flag("--version", "vigilctl " VIGIL_VERSION);
    app.add_option("--socket", context.socket, "vigild's socket, instead of the bus")
        ->type_name("PATH");
    app.require_subcommand(1);
    vigil::cli::add_session_commands(app, context);
    vigil::cli::add_factor_commands(app, context);
    vigil::cli::add_policy_commands(app, context);
    vigil::cli::add_status_commands(app, context);
    vigil::cli::add_rescue_commands(app, context);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) // --help, --version
            return app.exit(error);
        complain(app, error);
        return vigil::cli::exit_usage;
    }
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
        std::perror("vigilctl: writing");
        return vigil::cli::exit_refused;
    }
    return context.status;
} catch (const std::exception& error) {
    std::fprintf(stderr, "vigilctl: %s\n", error.what());
    return vigil::cli::exit_refused;
}
