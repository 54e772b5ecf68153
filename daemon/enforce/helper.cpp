#include "daemon/enforce/helper.hpp"

#include "base/child.hpp"
#include "base/process.hpp"

#include <cerrno>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

namespace vigil::enforce {

Result<> Helper::start() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return fail(errno, "making a socket");
    base::UniqueFd ours{ends[0]};
    const base::UniqueFd childs{ends[1]};
    const pid_t self = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0)
        return fail(errno, "starting a helper");
    if (pid == 0) {
        serve_(base::begin_child(self, childs.get(), name_));
        ::_exit(0);
    }
    auto pidfd = base::open_pidfd(pid);
    if (!pidfd) // it ends by itself as its socket is closed
        return std::unexpected{pidfd.error()};
    child_ = std::move(*pidfd);
    socket_ = std::move(ours);
    return {};
}

/// Of a child that has ended only its socket tells.
Result<> Helper::ask(std::string_view question) {
    const auto send = [&] {
        return socket_ && ::send(socket_.get(), question.data(), question.size(),
                                 MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
    };
    if (send())
        return {};
    end();
    if (auto started = start(); !started)
        return started;
    return send() ? Result<>{} : fail(errno, "asking the helper");
}

bool Helper::answers_within(Microseconds patience, HungChildren& hung, std::uint64_t user) {
    if (base::is_readable_within(socket_.get(), patience))
        return true;
    hung.give_up(std::move(child_), user);
    end();
    return false;
}

void Helper::end() noexcept {
    socket_.reset();
    child_.reset();
}

} // namespace vigil::enforce
