// A desktop as logind sees one: opens a session of type wayland through PAM, listens to what logind
// asks of it, and answers by its LockedHint or does not, or takes a lock back at once. For "-": in
// the session that it is started in, whatever that one's type.
//
//   desktop USER|- obeys|ignores|fails

#include "base/systemd.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <pwd.h>
#include <security/pam_appl.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>
#include <unistd.h>

namespace {

using namespace vigil;

/// Nothing is asked in the phases that are used here.
int no_conversation(int, const pam_message**, pam_response**, void*) noexcept {
    return PAM_CONV_ERR;
}

[[noreturn]] void die(const char* what, int code) {
    std::fprintf(stderr, "desktop: %s: %d\n", what, code);
    std::exit(EXIT_FAILURE);
}

std::string session_of_this_process() {
    char* raw = nullptr;
    if (const int r = sd_pid_get_session(0, &raw); r < 0)
        die("no session", r);
    std::string session = raw;
    std::free(raw);
    return session;
}

struct Desktop {
    sd_bus* bus;
    std::string object;
    bool fails;
};

void say_locked(const Desktop& desktop, bool locked) noexcept {
    sd_bus_call_method_async(desktop.bus, nullptr, "org.freedesktop.login1", desktop.object.c_str(),
                             "org.freedesktop.login1.Session", "SetLockedHint", nullptr, nullptr,
                             "b", static_cast<int>(locked));
}

int on_signal(sd_bus_message* message, void* data, sd_bus_error*) noexcept {
    const auto& desktop = *static_cast<Desktop*>(data);
    const bool lock = std::strcmp(sd_bus_message_get_member(message), "Lock") == 0;
    say_locked(desktop, lock);
    if (lock && desktop.fails)
        say_locked(desktop, false);
    return 0;
}

[[noreturn]] void listen(const std::string& manner) {
    const std::string session = session_of_this_process();
    sd_bus* raw = nullptr;
    if (const int r = sd_bus_open_system(&raw); r < 0)
        die("the bus", r);
    const base::Bus bus{raw};
    char* path = nullptr;
    sd_bus_path_encode("/org/freedesktop/login1/session", session.c_str(), &path);
    Desktop desktop{raw, path, manner == "fails"};
    std::free(path);
    for (const char* wish : {"Lock", "Unlock"})
        if (manner != "ignores" &&
            sd_bus_match_signal(raw, nullptr, "org.freedesktop.login1", desktop.object.c_str(),
                                "org.freedesktop.login1.Session", wish, on_signal, &desktop) < 0)
            die("listening", 0);
    std::printf("%s\n", session.c_str());
    std::fflush(stdout);
    while (true) {
        int r = sd_bus_process(raw, nullptr);
        if (r == 0)
            r = sd_bus_wait(raw, UINT64_MAX);
        if (r < 0)
            die("the bus is gone", r);
    }
}

[[noreturn]] void run_as(const passwd& user, const std::string& manner) {
    if (setgid(user.pw_gid) != 0 || setuid(user.pw_uid) != 0)
        die("becoming the user", 0);
    listen(manner);
}

} // namespace

int main(int argc, char** argv) {
    if (argc == 3 && std::strcmp(argv[1], "-") == 0)
        listen(argv[2]);
    const passwd* const user = argc == 3 ? getpwnam(argv[1]) : nullptr;
    if (!user)
        die("usage: desktop USER|- obeys|ignores|fails", argc);
    const pam_conv conversation{no_conversation, nullptr};
    pam_handle_t* pam = nullptr;
    int r = pam_start("desktop", argv[1], &conversation, &pam);
    for (const char* variable : {"XDG_SESSION_TYPE=wayland", "XDG_SESSION_CLASS=user"})
        r = r == PAM_SUCCESS ? pam_putenv(pam, variable) : r;
    r = r == PAM_SUCCESS ? pam_acct_mgmt(pam, 0) : r;
    r = r == PAM_SUCCESS ? pam_setcred(pam, PAM_ESTABLISH_CRED) : r;
    r = r == PAM_SUCCESS ? pam_open_session(pam, 0) : r;
    if (r != PAM_SUCCESS)
        die(pam_strerror(pam, r), r);
    // The leader stays root's and waits, as a display manager's does.
    const pid_t child = fork();
    if (child == 0)
        run_as(*user, argv[2]);
    int status = 0;
    waitpid(child, &status, 0);
    pam_close_session(pam, 0);
    pam_end(pam, PAM_SUCCESS);
    return EXIT_SUCCESS;
}
