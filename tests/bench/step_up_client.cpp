// What bench_step_up.py runs on a host, each time in a process of its own, as sudo is one; a line
// of microseconds for each.
//   step_up_client commands COUNT WORD...  from the fork to the end of a command
//   step_up_client codes {SERVICE USER UID CODE}...  PAM from pam_start(3) to pam_end(3), of each

#include "base/unique_fd.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include <fcntl.h>
#include <security/pam_appl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;
using vigil::base::UniqueFd;

void check(bool good, const char* what) {
    if (!good)
        throw std::runtime_error{what};
}

double since(Clock::time_point begin) {
    return std::chrono::duration<double, std::micro>{Clock::now() - begin}.count();
}

void wait_for(pid_t pid) {
    int status = 0;
    check(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0,
          "it was refused");
}

double run(char** words) {
    const auto begin = Clock::now();
    const pid_t pid = fork();
    check(pid >= 0, "fork");
    if (pid == 0) {
        execvp(words[0], words);
        _exit(EXIT_FAILURE);
    }
    wait_for(pid);
    return since(begin);
}

int answer(int count, const pam_message** messages, pam_response** responses, void* code) noexcept {
    *responses = static_cast<pam_response*>(
        std::calloc(static_cast<std::size_t>(count), sizeof(pam_response)));
    for (int i = 0; i < count; ++i)
        if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF)
            (*responses)[i].resp = strdup(static_cast<const char*>(code));
    return PAM_SUCCESS;
}

/// Both phases: each of the two modules stands in one of them, with pam_permit(8) in the other.
double prove(const std::string& service, const std::string& user, uid_t uid, std::string code) {
    // Root's programs are asked as whose they are.
    check(setresuid(uid, 0, 0) == 0, "setresuid");
    const auto begin = Clock::now();
    const pam_conv conversation{answer, code.data()};
    pam_handle_t* pam = nullptr;
    check(pam_start(service.c_str(), user.c_str(), &conversation, &pam) == PAM_SUCCESS,
          "pam_start");
    const bool good =
        pam_authenticate(pam, 0) == PAM_SUCCESS && pam_acct_mgmt(pam, 0) == PAM_SUCCESS;
    pam_end(pam, PAM_SUCCESS);
    const double took = since(begin);
    check(good, "the code was refused");
    return took;
}

double prove_apart(const std::string& service, const std::string& user, uid_t uid,
                   const std::string& code) {
    int ends[2];
    check(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    const UniqueFd from{ends[0]};
    const UniqueFd to{ends[1]};
    const pid_t pid = fork();
    check(pid >= 0, "fork");
    if (pid == 0) {
        try {
            const double took = prove(service, user, uid, code);
            _exit(write(to.get(), &took, sizeof took) == sizeof took ? EXIT_SUCCESS : EXIT_FAILURE);
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s, %s: %s\n", service.c_str(), user.c_str(), error.what());
            _exit(EXIT_FAILURE);
        }
    }
    wait_for(pid);
    double took = 0;
    check(read(from.get(), &took, sizeof took) == sizeof took, "read");
    return took;
}

} // namespace

int main(int argc, char** argv) try {
    const std::string mode = argc > 1 ? argv[1] : "";
    if (mode == "commands" && argc > 3) {
        for (int i = std::atoi(argv[2]); i > 0; --i)
            std::printf("%.0f\n", run(argv + 3));
        return EXIT_SUCCESS;
    }
    check(mode == "codes" && argc > 2 && (argc - 2) % 4 == 0,
          "usage: step_up_client commands COUNT WORD... | codes {SERVICE USER UID CODE}...");
    for (char** words = argv + 2; *words; words += 4) {
        const auto uid = static_cast<uid_t>(std::atoi(words[2]));
        std::printf("%s %.0f\n", words[0], prove_apart(words[0], words[1], uid, words[3]));
    }
} catch (const std::exception& error) {
    std::fprintf(stderr, "step_up_client: %s\n", error.what());
    return EXIT_FAILURE;
}
