// Reads its standard input into memory that never comes, and keeps others from setting the terminal
// meanwhile, as any user can: a file of a file system of his own (fuse(4)), whose server, this
// process's child, is silent. For the host tests of the lock; ends with SIGKILL of the child.

#include "base/unique_fd.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

using vigil::base::UniqueFd;

namespace {

constexpr std::size_t page = 4096;
/// Nobody waits longer, whatever becomes of the test.
constexpr unsigned life = 120;

bool write_file(const char* path, const std::string& text) {
    const UniqueFd fd{::open(path, O_WRONLY | O_CLOEXEC)};
    return ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

bool become_roots_lookalike(uid_t uid, gid_t gid) {
    return ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
           write_file("/proc/self/setgroups", "deny") &&
           write_file("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1\n") &&
           write_file("/proc/self/gid_map", "0 " + std::to_string(gid) + " 1\n");
}

struct Answer {
    fuse_out_header header{};
    union {
        fuse_init_out init;
        fuse_attr_out attributes;
        fuse_open_out open;
    } body{};
};

void reply(int device, const fuse_in_header& request) {
    Answer answer;
    std::size_t size = 0;
    switch (request.opcode) {
    case FUSE_INIT:
        answer.body.init.major = FUSE_KERNEL_VERSION;
        answer.body.init.minor = 31;
        answer.body.init.max_write = page;
        size = sizeof answer.body.init;
        break;
    case FUSE_GETATTR:
        answer.body.attributes.attr.ino = FUSE_ROOT_ID;
        answer.body.attributes.attr.mode = S_IFREG | 0666;
        answer.body.attributes.attr.nlink = 1;
        answer.body.attributes.attr.size = page;
        size = sizeof answer.body.attributes;
        break;
    case FUSE_OPEN:
        size = sizeof answer.body.open;
        break;
    case FUSE_READ:
        std::puts("busy");
        std::fflush(stdout);
        return;
    case FUSE_RELEASE:
    case FUSE_FORGET:
    case FUSE_INTERRUPT:
        return;
    default:
        answer.header.error = -ENOSYS;
    }
    answer.header.unique = request.unique;
    answer.header.len = static_cast<std::uint32_t>(sizeof answer.header + size);
    if (::write(device, &answer, answer.header.len) < 0)
        ::_exit(1);
}

[[noreturn]] void serve(int device) {
    ::setsid(); // it has no terminal, so that no lock holds it
    ::prctl(PR_SET_NAME, "busy-server");
    ::alarm(life);
    alignas(fuse_in_header) static std::array<char, 1024UL * 1024> buffer;
    while (true) {
        const ssize_t got = ::read(device, buffer.data(), buffer.size());
        if (got < 0 && (errno == EINTR || errno == ENOENT))
            continue;
        if (got < 0)
            ::_exit(0);
        fuse_in_header request{};
        std::memcpy(&request, buffer.data(), sizeof request);
        reply(device, request);
    }
}

/// nullptr: no such file here.
void* memory_of(const char* path) {
    const UniqueFd fd{::open(path, O_RDWR | O_CLOEXEC)};
    struct stat info{}; // so that its size is known
    if (!fd || ::fstat(fd.get(), &info) < 0)
        return nullptr;
    void* const memory = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    return memory == MAP_FAILED ? nullptr : memory;
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2 || !become_roots_lookalike(::getuid(), ::getgid()))
        return 2;
    UniqueFd device{::open("/dev/fuse", O_RDWR | O_CLOEXEC)};
    const UniqueFd place{::open(argv[1], O_CREAT | O_WRONLY | O_CLOEXEC, 0600)};
    const std::string options =
        "fd=" + std::to_string(device.get()) + ",rootmode=100666,user_id=0,group_id=0";
    if (!device || !place ||
        ::mount("busy", argv[1], "fuse", MS_NOSUID | MS_NODEV, options.c_str()) < 0)
        return 3;
    if (::fork() == 0)
        serve(device.get());
    device.reset();
    void* const memory = memory_of(argv[1]);
    return memory != nullptr && ::read(STDIN_FILENO, memory, page) < 0 ? 0 : 1;
}
