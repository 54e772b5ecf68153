// What sudo loads, by `Plugin vigil_approval vigil_approval.so` in sudo.conf(5): it is asked about
// each command that sudo runs, whatever ticket or NOPASSWD says. Nothing of C++ leaves it.

#include "sudo_plugin/approval.hpp"
#include "sudo_plugin/lists.hpp"

namespace {

using namespace vigil::sudo;

Run the_run; // a process is one run of sudo

constexpr int allowed = 1;
constexpr int refused = 0;
constexpr int failed = -1;

/// The answer of what may throw: none is a yes.
template <typename Doing>
int guarded(const char** errstr, Doing doing) noexcept {
    const char* why = "";
    int answer = failed;
    try {
        answer = doing(why);
    } catch (...) {
        why = "vigil: no memory, or worse";
    }
    if (errstr != nullptr && answer != allowed)
        *errstr = why;
    return answer;
}

int open(unsigned int version, sudo_conv_t conversation, sudo_printf_t print,
         char* const settings[], char* const user_info[], int, char* const[],
         char* const user_env[], char* const options[], const char** errstr) noexcept {
    return guarded(errstr, [&](const char*& why) {
        if (SUDO_API_VERSION_GET_MAJOR(version) != SUDO_API_VERSION_MAJOR) {
            why = "vigil: this sudo is too new for the plugin";
            return failed;
        }
        the_run = {.conversation = {conversation, print},
                   .socket =
                       std::string{value_of(options, "socket").value_or(vigil::wire::socket_path)},
                   .user = std::string{value_of(user_info, "user").value_or("")},
                   .uid = number_of<uid_t>(user_info, "uid").value_or(static_cast<uid_t>(-1)),
                   .directory = std::string{value_of(user_info, "cwd").value_or("/")},
                   .service = is_true(settings, "login_shell") ? "sudo-i" : "sudo",
                   .may_ask = !is_true(settings, "noninteractive"),
                   .lets_pass = value_of(options, "unavailable") == "allow"};
        const auto socket = value_of(user_env, "SSH_AUTH_SOCK");
        const auto group = number_of<gid_t>(user_info, "gid");
        if (socket && !socket->empty() && group && the_run.uid != static_cast<uid_t>(-1))
            the_run.conversation.know({std::string{*socket}, the_run.uid, *group});
        return allowed;
    });
}

int check(char* const command_info[], char* const run_argv[], char* const run_envp[],
          const char** errstr) noexcept {
    return guarded(errstr, [&](const char*& why) {
        const Told told{.command_info = command_info, .argv = run_argv, .environment = run_envp};
        if (approve(the_run, told) == Answer::allowed)
            return allowed;
        why = "vigil: refused";
        return refused;
    });
}

int show_version(int) noexcept {
    return guarded(nullptr, [](const char*&) {
        the_run.conversation.tell("vigil approval plugin " VIGIL_VERSION);
        return allowed;
    });
}

} // namespace

extern "C" {
[[gnu::visibility("default")]] extern const approval_plugin vigil_approval;
constinit const approval_plugin vigil_approval{.type = SUDO_APPROVAL_PLUGIN,
                                               .version = SUDO_API_VERSION,
                                               .open = open,
                                               .close = nullptr,
                                               .check = check,
                                               .show_version = show_version};
}
