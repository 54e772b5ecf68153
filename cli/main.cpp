// vigilctl(1).

#include "base/clock.hpp"
#include "cli/arguments.hpp"
#include "cli/client.hpp"
#include "wire/errors.hpp"

#include <charconv>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <langinfo.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
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

} // namespace

int main(int argc, char** argv) try {
    // Secrets pass through it at an enrolment: nothing of them goes into a core file.
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    std::setlocale(LC_ALL, "");
    vigil::wire::register_errors();
    vigil::cli::Context context;
    context.look = look_of_stdout();
    context.now = vigil::base::read_clocks();
    const int status = vigil::cli::run(argc, argv, context);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
        std::perror("vigilctl: writing");
        return vigil::cli::exit_refused;
    }
    return status;
} catch (const std::exception& error) {
    std::fprintf(stderr, "vigilctl: %s\n", error.what());
    return vigil::cli::exit_refused;
}
