#include "daemon/enforce/fetcher.hpp"

#include "base/process.hpp"
#include "daemon/enforce/aside.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vigil::enforce {

namespace {

struct Request {
    pid_t thread = 0;
    int number = 0;
};

struct Reply {
    int error = 0; ///< 0: a descriptor comes with it
    dev_t device = 0;
};

/// A message with room for one descriptor.
struct Message {
    iovec piece{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr header{};

    explicit Message(Reply& reply) noexcept : piece{&reply, sizeof reply} {
        header.msg_iov = &piece;
        header.msg_iovlen = 1;
        header.msg_control = control.data();
        header.msg_controllen = control.size();
    }
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;
};

HungChildren& hung_fetchers() {
    static HungChildren all{max_hung_fetchers, Microseconds{0}};
    return all;
}

// In the child. Between fork(2) and _exit(2) it calls the kernel and nothing else.

/// -1 with errno.
int copy_of(const Request& request) noexcept {
    const base::UniqueFd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, request.thread, 0))};
    return pidfd ? static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), request.number, 0U))
                 : -1;
}

/// Nothing is asked of a file that is no device: its file system would be.
bool is_terminal(int fd, dev_t& device) noexcept {
    struct statx info{};
    if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &info) < 0 ||
        !S_ISCHR(info.stx_mode))
        return false;
    unsigned number = 0;
    if (::ioctl(fd, TIOCGDEV, &number) == 0)
        device = number;
    else if (errno != EIO) // a terminal that hung up
        return false;
    return true;
}

void send_reply(int socket, Reply& reply, const base::UniqueFd& fd) noexcept {
    Message message{reply};
    if (reply.error == 0) {
        cmsghdr* const part = CMSG_FIRSTHDR(&message.header);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(int));
        const int number = fd.get();
        std::memcpy(CMSG_DATA(part), &number, sizeof number);
    } else {
        message.header.msg_control = nullptr;
        message.header.msg_controllen = 0;
    }
    if (::sendmsg(socket, &message.header, MSG_NOSIGNAL) < 0)
        ::_exit(1);
}

void serve(int socket, const Request& request) noexcept {
    Reply reply;
    base::UniqueFd fd{copy_of(request)};
    if (!fd)
        reply.error = errno;
    else if (!is_terminal(fd.get(), reply.device))
        reply.error = EBADF;
    // Closed before the answer: who then hears nothing knows that it hung here.
    if (reply.error != 0)
        fd.reset();
    send_reply(socket, reply, fd);
}

/// The same for a process that may hang itself.
Result<FetchedTerminal> fetch_here(const Request& request) {
    FetchedTerminal fetched{.fd = base::UniqueFd{copy_of(request)}, .device = 0};
    if (!fetched.fd)
        return fail(errno, "fetching a descriptor of process " + std::to_string(request.thread));
    if (!is_terminal(fetched.fd.get(), fetched.device))
        return fail(EBADF, "fetching a descriptor of process " + std::to_string(request.thread));
    return fetched;
}

void serve_all(int socket) noexcept {
    Request request;
    while (::recv(socket, &request, sizeof request, 0) == sizeof request)
        serve(socket, request);
}

/// The descriptor of a message, if one came.
base::UniqueFd received(msghdr& header) noexcept {
    int number = -1;
    if (const cmsghdr* const part = CMSG_FIRSTHDR(&header);
        part != nullptr && part->cmsg_type == SCM_RIGHTS &&
        part->cmsg_len == CMSG_LEN(sizeof number))
        std::memcpy(&number, CMSG_DATA(part), sizeof number);
    return base::UniqueFd{number};
}

} // namespace

Fetcher::Fetcher() noexcept : helper_{"vigild-fetch", serve_all} {}

Result<FetchedTerminal> Fetcher::fetch(pid_t thread, int number) {
    const Request request{.thread = thread, .number = number};
    if (is_aside())
        return fetch_here(request);
    const auto user = base::read_real_uid(thread);
    if (!user)
        return std::unexpected{user.error()};
    if (given_up_.contains(*user) || hung_fetchers().refuses(*user))
        return fail(ETIMEDOUT, "a descriptor of this user's is still waited for");
    const std::string_view question{reinterpret_cast<const char*>(&request), sizeof request};
    if (const auto asked = helper_.ask(question); !asked)
        return std::unexpected{asked.error()};
    if (!helper_.answers_within(fetch_patience, hung_fetchers(), *user)) {
        given_up_.insert(*user);
        return fail(ETIMEDOUT, "fetching a descriptor of process " + std::to_string(thread));
    }
    Reply reply;
    Message message{reply};
    const ssize_t got = ::recvmsg(helper_.socket(), &message.header, MSG_CMSG_CLOEXEC);
    auto fd = got > 0 ? received(message.header) : base::UniqueFd{};
    if (got != sizeof reply || (reply.error == 0 && !fd)) {
        helper_.end();
        return fail(EIO, "the helper ended");
    }
    if (reply.error != 0)
        return fail(reply.error, "fetching a descriptor of process " + std::to_string(thread));
    return FetchedTerminal{.fd = std::move(fd), .device = reply.device};
}

} // namespace vigil::enforce
