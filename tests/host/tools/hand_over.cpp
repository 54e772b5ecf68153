// Hands its standard input to another process through a socket, for the host tests of the lock. A
// descriptor that is on its way is in nobody's /proc/PID/fd.
//   hand-over take PATH   accepts, and takes it at the first SIGUSR1; ends at the second
//   hand-over give PATH

#include "base/unique_fd.hpp"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string_view>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

using vigil::base::UniqueFd;

namespace {

struct Message {
    char byte = 0;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    iovec piece{.iov_base = &byte, .iov_len = 1};
    msghdr header{};

    Message() noexcept {
        header.msg_iov = &piece;
        header.msg_iovlen = 1;
        header.msg_control = control;
        header.msg_controllen = sizeof control;
    }
};

void wait_for_signal() noexcept {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    int number = 0;
    sigwait(&set, &number);
}

void tell(const char* word) noexcept {
    std::puts(word);
    std::fflush(stdout);
}

int take(int fd, const sockaddr_un& address) {
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
        listen(fd, 1) < 0)
        return 1;
    tell("listening");
    const UniqueFd end{accept(fd, nullptr, nullptr)};
    tell("connected");
    wait_for_signal();
    Message message;
    if (recvmsg(end.get(), &message.header, 0) != 1)
        return 1;
    tell("taken");
    wait_for_signal();
    return 0;
}

int give(int fd, const sockaddr_un& address) {
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        return 1;
    Message message;
    cmsghdr* const part = CMSG_FIRSTHDR(&message.header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    const int input = STDIN_FILENO;
    std::memcpy(CMSG_DATA(part), &input, sizeof input);
    return sendmsg(fd, &message.header, 0) == 1 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (argc != 3 || std::strlen(argv[2]) >= sizeof address.sun_path)
        return 2;
    std::strcpy(address.sun_path, argv[2]);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    const UniqueFd fd{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    return argv[1] == std::string_view{"take"} ? take(fd.get(), address) : give(fd.get(), address);
}
