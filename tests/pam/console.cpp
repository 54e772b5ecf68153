#include "tests/pam/console.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include <pty.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace vigil::test {

namespace {

void must(bool held, const char* what) {
    if (!held) {
        std::perror(what);
        std::abort();
    }
}

} // namespace

void leave_the_terminal() {
    // Check makes each test the leader of a group, and a leader may not begin a session.
    must(::setpgid(0, ::getpgid(::getppid())) == 0, "setpgid");
    must(::setsid() >= 0, "setsid");
}

std::string sit_down_at_a_terminal(bool console) {
    int outer = -1;
    int inner = -1;
    char name[64] = {};
    must(::openpty(&outer, &inner, name, nullptr, nullptr) == 0, "openpty");
    leave_the_terminal();
    must(::ioctl(inner, TIOCSCTTY, 0) == 0, "TIOCSCTTY");
    if (console) {
        must(::unshare(CLONE_NEWNS) == 0, "unshare");
        must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private mounts");
        // As every machine has it; a container may have none, and nothing to put the mount on.
        must(::mknod("/dev/console", S_IFCHR | 0600, makedev(5, 1)) == 0 || errno == EEXIST,
             "/dev/console");
        must(::mount(name, "/dev/console", nullptr, MS_BIND, nullptr) == 0, "a new console");
    }
    return name;
}

} // namespace vigil::test
