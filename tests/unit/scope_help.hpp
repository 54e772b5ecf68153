#pragma once
// A scope in a real cgroup v2 tree, in a mount namespace of the test's own. Needs root.

#include "daemon/enforce/scope.hpp"
#include "tests/unit/test.hpp"

#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vigil::test {

inline const std::string& scope() {
    static const std::string path = "/vigil-test-" + std::to_string(::getpid()) + ".scope";
    return path;
}

inline std::string directory() {
    return "/sys/fs/cgroup" + scope();
}

inline void make_scope() {
    ck_assert_int_eq(::unshare(CLONE_NEWNS), 0);
    ck_assert_int_eq(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    // Where PID 1 is systemd it is there already, and the kernel mounts nothing twice in one place.
    struct statfs there{};
    if (::statfs("/sys/fs/cgroup", &there) < 0 || there.f_type != CGROUP2_SUPER_MAGIC)
        ck_assert_int_eq(::mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, nullptr), 0);
    ck_assert_int_eq(::mkdir(directory().c_str(), 0755), 0);
}

inline void remove_scope() {
    enforce::kill_scope(scope());
    while (::waitpid(-1, nullptr, 0) > 0)
        ;
    // Who was killed, and is nobody's child here, leaves a moment later.
    int removed = -1;
    for (int attempt = 0; removed < 0 && attempt < 5000; ++attempt) {
        ::rmdir((directory() + "/" + enforce::frozen_child).c_str());
        removed = ::rmdir(directory().c_str());
        if (removed < 0)
            ::usleep(1000);
    }
    ck_assert_int_eq(removed, 0);
}

} // namespace vigil::test
