#include "base/local_socket.hpp"

#include "base/clock.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

namespace vigil::base {

namespace {

/// A program that closed stdin would get its number, and read or write the bus by mistake.
Result<UniqueFd> make_socket() {
    UniqueFd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (fd && fd.get() <= STDERR_FILENO)
        fd = UniqueFd{::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1)};
    if (!fd)
        return fail(errno, "making a socket");
    return fd;
}

} // namespace

Microseconds time_until(BootTime deadline) noexcept {
    return std::max(deadline - read_boot_time(), Microseconds{0});
}

/// connect(2) on a local socket whose backlog is full waits, and without blocking it fails with
/// EAGAIN at once; a send timeout makes it wait until the deadline.
Result<UniqueFd> connect_socket(const char* path, BootTime deadline) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (std::strlen(path) >= sizeof address.sun_path)
        return fail(ENAMETOOLONG, std::string{"connecting to "} + path);
    std::strcpy(address.sun_path, path);
    auto fd = make_socket();
    if (!fd)
        return fd;
    while (true) {
        const Microseconds left = time_until(deadline);
        if (left == Microseconds{0})
            return fail(ETIMEDOUT, std::string{"connecting to "} + path);
        const auto seconds = std::chrono::floor<Seconds>(left);
        const timeval timeout{.tv_sec = seconds.count(), .tv_usec = (left - seconds).count()};
        if (setsockopt(fd->get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0)
            return fail(errno, "setting a socket's timeout");
        if (::connect(fd->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
            return fd;
        if (errno != EINTR && errno != EAGAIN)
            return fail(errno, std::string{"connecting to "} + path);
    }
}

} // namespace vigil::base
