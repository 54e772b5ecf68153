#pragma once
// A file of a file system whose server never says that it was flushed, as any user can mount one:
// whoever closes a descriptor of it waits until the server ends. (fuse(4))

#include "base/unique_fd.hpp"
#include "tests/unit/folder.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vigil::test {

class StuckFile {
public:
    /// In mounts of this process's own from then on. A copy of `like`, if there is one.
    explicit StuckFile(const std::string& like = "/dev/null") {
        ck_assert_int_eq(::unshare(CLONE_NEWNS), 0);
        ck_assert_int_eq(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
        const int place = ::open(path_.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        ck_assert_int_ge(place, 0);
        ::close(place);
        const int device = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
        ck_assert_msg(device >= 0, "/dev/fuse: %s", std::strerror(errno));
        const std::string options =
            "fd=" + std::to_string(device) + ",rootmode=100666,user_id=0,group_id=0,allow_other";
        ck_assert_int_eq(
            ::mount("stuck", path_.c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()), 0);
        int ends[2];
        ck_assert_int_eq(::pipe2(ends, O_CLOEXEC), 0);
        told_.reset(ends[0]);
        const base::UniqueFd tells{ends[1]};
        server_ = ::fork();
        ck_assert_int_ge(server_, 0);
        if (server_ == 0)
            serve({device, ::open(like.c_str(), O_RDONLY | O_CLOEXEC), tells.get()});
        ::close(device);
    }
    ~StuckFile() { let_go(); }
    StuckFile(const StuckFile&) = delete;
    StuckFile& operator=(const StuckFile&) = delete;

    /// Everybody who waits has an error.
    void let_go() {
        if (server_ <= 0)
            return;
        ::kill(server_, SIGKILL);
        ::waitpid(server_, nullptr, 0);
        server_ = -1;
        ::umount2(path_.c_str(), MNT_DETACH);
    }

    /// From now on it does not say either what kind of file it is (stat(2)) or what is in it.
    void fall_silent() const { ck_assert_int_eq(::kill(server_, SIGUSR1), 0); }

    /// Until somebody reads it in vain.
    void wait_for_reader() const {
        char word = 0;
        ck_assert_int_eq(::read(told_.get(), &word, 1), 1);
    }

    const std::string& path() const noexcept { return path_; }

private:
    static constexpr std::size_t max_read = 128UL * 1024;

    struct Ends {
        int device;
        int like;
        int tells;
    };

    struct Answer {
        fuse_out_header header{};
        union {
            fuse_init_out init;
            fuse_attr_out attributes;
            fuse_open_out open;
            char bytes[max_read];
        } body{};
    };

    static inline volatile std::sig_atomic_t silent = 0;

    /// It outlives nobody: a test that is killed leaves no one waiting.
    [[noreturn]] static void serve(const Ends& ends) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::alarm(60);
        std::signal(SIGUSR1, [](int) { silent = 1; });
        alignas(fuse_in_header) static std::array<char, 1024UL * 1024> buffer;
        while (true) {
            const ssize_t got = ::read(ends.device, buffer.data(), buffer.size());
            if (got < 0 && (errno == EINTR || errno == ENOENT))
                continue;
            if (got < 0)
                ::_exit(0);
            fuse_in_header request{};
            std::memcpy(&request, buffer.data(), sizeof request);
            reply(ends, request, buffer.data() + sizeof request);
        }
    }

    static std::size_t attributes(int like, fuse_attr_out& answer) {
        struct stat info{};
        ::fstat(like, &info);
        answer.attr.ino = FUSE_ROOT_ID;
        answer.attr.mode = S_IFREG | 0777;
        answer.attr.nlink = 1;
        answer.attr.size = S_ISREG(info.st_mode) ? static_cast<std::uint64_t>(info.st_size) : 0;
        return sizeof answer;
    }

    static std::size_t content(int like, const char* asked, char* answer) {
        fuse_read_in wanted{};
        std::memcpy(&wanted, asked, sizeof wanted);
        const ssize_t got = ::pread(like, answer, std::min<std::size_t>(wanted.size, max_read),
                                    static_cast<off_t>(wanted.offset));
        return got < 0 ? 0 : static_cast<std::size_t>(got);
    }

    static void reply(const Ends& ends, const fuse_in_header& request, const char* asked) {
        static Answer answer;
        answer = {};
        std::size_t size = 0;
        switch (request.opcode) {
        case FUSE_INIT:
            answer.body.init.major = FUSE_KERNEL_VERSION;
            answer.body.init.minor = 31;
            answer.body.init.max_write = 4096;
            size = sizeof answer.body.init;
            break;
        case FUSE_GETATTR:
            if (silent != 0)
                return;
            size = attributes(ends.like, answer.body.attributes);
            break;
        case FUSE_OPEN:
            size = sizeof answer.body.open;
            break;
        case FUSE_READ:
            if (silent != 0) {
                (void)!::write(ends.tells, "x", 1);
                return;
            }
            size = content(ends.like, asked, answer.body.bytes);
            break;
        case FUSE_FLUSH:
        case FUSE_RELEASE:
        case FUSE_FORGET:
        case FUSE_INTERRUPT:
            return;
        default:
            answer.header.error = -ENOSYS;
        }
        answer.header.unique = request.unique;
        answer.header.len = static_cast<std::uint32_t>(sizeof answer.header + size);
        if (::write(ends.device, &answer, answer.header.len) < 0)
            ::_exit(1);
    }

    Folder folder_;
    std::string path_ = (folder_ / "stuck").string();
    base::UniqueFd told_;
    pid_t server_ = -1;
};

} // namespace vigil::test
