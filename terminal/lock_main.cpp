// vigil-lock SESSION TERMINAL: asks at one terminal of a locked session. vigil-lock(8).

#include "base/log.hpp"
#include "terminal/prompt.hpp"
#include "wire/errors.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <CLI/CLI.hpp>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

namespace {

/// "Done": PID 1 does not start it again (RestartPreventExitStatus=).
constexpr int exit_done = 10;

/// vigild stops the unit after an unlock, maybe while a PAM module is at work. It has put the
/// screen back already, and the session draws on it again: not a byte more from here. The kernel
/// takes back the memory with whatever was typed in it.
void leave(int) noexcept {
    _exit(exit_done);
}

void harden() noexcept {
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void handle_signals() noexcept {
    struct sigaction action{};
    action.sa_handler = leave;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, nullptr);
    for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU})
        std::signal(number, SIG_IGN);
}

int run(const vigil::terminal::Prompt::Options& options) {
    using namespace vigil;
    auto tty = terminal::Tty::open(options.terminal);
    if (!tty) {
        base::log(base::Level::notice, tty.error().text());
        // A terminal that is gone needs no prompt any more.
        const int code = tty.error().code;
        return code == ENOENT || code == EIO || code == ENXIO ? exit_done : EXIT_FAILURE;
    }
    terminal::Prompt prompt{options, *tty};
    mlock(prompt.keys().memory(), prompt.keys().memory_size()); // best effort
    prompt.run();
    return exit_done;
}

} // namespace

int main(int argc, char** argv) try {
    harden();
    handle_signals();
    vigil::wire::register_errors();
    vigil::terminal::Prompt::Options options;
    options.socket = vigil::wire::socket_path;
    CLI::App app{"Asks for a proof at a terminal of a locked session. Started by vigild.",
                 "vigil-lock"};
    app.add_option("SESSION", options.session, "the session's id")->required();
    app.add_option("TERMINAL", options.terminal, "its terminal, as /dev/pts/N")->required();
    app.add_option("--socket", options.socket, "vigild's socket")->group("");
    app.add_option("--pam-directory", options.pam_directory, "where the PAM stack is")->group("");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    return run(options);
} catch (const std::exception& error) {
    vigil::base::log(vigil::base::Level::error, error.what());
    return EXIT_FAILURE; // PID 1 starts a new prompt
}
