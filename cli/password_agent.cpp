#include "cli/password_agent.hpp"

#include "base/child.hpp"
#include "base/time.hpp"
#include "base/unique_fd.hpp"

#include <cerrno>
#include <csignal>
#include <string>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vigil::cli {

namespace {

constexpr const char* program = "/usr/bin/pkttyagent";
/// polkitd may have to be started first.
constexpr Seconds start_patience{10};

/// In the child. `known`: the agent closes it when polkit knows it.
[[noreturn]] void become_agent(pid_t parent, int known) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) // it went before it could be asked for
        ::_exit(1);
    ::fcntl(known, F_SETFD, 0);
    const std::string number = std::to_string(known);
    // Another agent of the session, as a desktop's, goes before.
    ::execl(program, program, "--notify-fd", number.c_str(), "--fallback", nullptr);
    ::_exit(1);
}

} // namespace

PasswordAgent::PasswordAgent() {
    if (::geteuid() == 0 || ::isatty(STDIN_FILENO) == 0 || ::access(program, X_OK) != 0)
        return;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0)
        return;
    const base::UniqueFd from{ends[0]};
    base::UniqueFd to{ends[1]};
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0)
        become_agent(parent, to.get());
    if (pid < 0)
        return;
    pid_ = pid;
    // The first Ctrl-C is the agent's, which gives the terminal its echo back and ends; vigild says
    // then that no password was given. Where it says nothing, the second ends vigilctl.
    struct sigaction once{};
    once.sa_handler = [](int) {};
    once.sa_flags = SA_RESETHAND;
    ::sigaction(SIGINT, &once, nullptr);
    to.reset();
    (void)base::is_readable_within(from.get(), start_patience);
}

PasswordAgent::~PasswordAgent() {
    if (pid_ == 0)
        return;
    ::kill(pid_, SIGTERM);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    std::signal(SIGINT, SIG_DFL);
}

} // namespace vigil::cli
