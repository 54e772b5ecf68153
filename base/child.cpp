#include "base/child.hpp"

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace vigil::base {

int begin_child(pid_t parent, int kept, const char* name) noexcept {
    constexpr int own = STDERR_FILENO + 1;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) // it went before it could be asked for
        ::_exit(1);
    ::prctl(PR_SET_NAME, name);
    if (kept != own && ::dup3(kept, own, O_CLOEXEC) < 0)
        ::_exit(1);
    ::close_range(own + 1, ~0U, 0);
    return own;
}

bool is_readable_within(int fd, Microseconds patience) noexcept {
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(patience).count();
    pollfd waited{.fd = fd, .events = POLLIN, .revents = 0};
    int ready = 0;
    while ((ready = ::poll(&waited, 1, static_cast<int>(wait))) < 0 && errno == EINTR) {
    }
    return ready > 0;
}

} // namespace vigil::base
