// vigil-lock SESSION TERMINAL: asks at one terminal of a locked session. vigil-lock(8).

#include "base/log.hpp"
#include "base/number.hpp"
#include "terminal/prompt.hpp"
#include "wire/errors.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include <getopt.h>
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

/// What vigild has PID 1 tell each prompt of its session, since vigild itself may be gone before it
/// is asked.
void read_environment(vigil::terminal::Prompt::Options& options) {
    const char* const held = secure_getenv("VIGIL_HELD");
    const char* const leader = secure_getenv("VIGIL_LEADER");
    if (!held || !leader)
        return;
    const std::string_view words{leader};
    const auto colon = words.find(':');
    if (colon != words.npos &&
        vigil::base::parse_number(words.substr(0, colon), options.leader.pid) &&
        vigil::base::parse_number(words.substr(colon + 1), options.leader.start_time))
        options.held = held;
}

/// nullopt: not the words it takes. By getopt_long(3), because nothing else has to be loaded before
/// the prompt is on the screen.
std::optional<vigil::terminal::Prompt::Options> parse(int argc, char** argv) {
    vigil::terminal::Prompt::Options options;
    options.socket = vigil::wire::socket_path;
    const option known[]{{"socket", required_argument, nullptr, 's'},
                         {"console", no_argument, nullptr, 'c'},
                         {"pam-directory", required_argument, nullptr, 'p'},
                         {nullptr, 0, nullptr, 0}};
    for (int found = 0; (found = getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        if (found == 's')
            options.socket = optarg;
        else if (found == 'c')
            options.lock_console = true;
        else if (found == 'p')
            options.pam_directory = optarg;
        else
            return std::nullopt;
    }
    if (argc - optind != 2)
        return std::nullopt;
    options.session = argv[optind];
    options.terminal = argv[optind + 1];
    read_environment(options);
    return options;
}

} // namespace

int main(int argc, char** argv) try {
    harden();
    handle_signals();
    vigil::wire::register_errors();
    const auto options = parse(argc, argv);
    if (!options) {
        std::fputs("Usage: vigil-lock SESSION TERMINAL (vigild starts it; see vigil-lock(8))\n",
                   stderr);
        return 2;
    }
    return run(*options);
} catch (const std::exception& error) {
    vigil::base::log(vigil::base::Level::error, error.what());
    return EXIT_FAILURE; // PID 1 starts a new prompt
}
