#pragma once
// A scope in a real cgroup v2 tree, in a mount namespace of the test's own. Needs root.

#include "daemon/enforce/scope.hpp"
#include "tests/unit/test.hpp"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>

#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vigil::test {

/// A test that was killed leaves its scope, and its pid comes again.
inline const std::string& scope() {
    static const std::string path =
        "/vigil-test-" + std::to_string(::getpid()) + "-" +
        std::to_string(std::chrono::steady_clock::now().time_since_epoch().count()) + ".scope";
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

inline void move_to_scope(pid_t pid) {
    const std::string path = directory() + "/cgroup.procs";
    FILE* const file = ::fopen(path.c_str(), "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_gt(::fprintf(file, "%d", pid), 0);
    ck_assert_int_eq(::fclose(file), 0);
}

/// A child that does `work` and waits to be killed, once it has done it. It goes with who started
/// it: a test that fails leaves nothing frozen.
inline pid_t start(const std::function<void()>& work) {
    int ready[2];
    ck_assert_int_eq(::pipe(ready), 0);
    const pid_t pid = ::fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        // Check's own handlers pass these on to the whole test.
        for (const int signal : {SIGTERM, SIGINT})
            std::signal(signal, SIG_DFL);
        work();
        if (::write(ready[1], "x", 1) == 1)
            while (true)
                ::pause();
        ::_exit(1);
    }
    ::close(ready[1]);
    char byte = 0;
    ck_assert_int_eq(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    return pid;
}

/// The same, in the scope with all that it starts.
inline pid_t start_in_scope(const std::function<void()>& work) {
    return start([&] {
        move_to_scope(::getpid());
        work();
    });
}

/// A child with this name.
inline pid_t named(const char* name) {
    return start([name] { ::prctl(PR_SET_NAME, name); });
}

} // namespace vigil::test
