#include "wire/agent.hpp"

#include "base/child.hpp"
#include "base/clock.hpp"
#include "base/interruption.hpp"
#include "base/process.hpp"
#include "base/ssh_format.hpp"
#include "base/unique_fd.hpp"
#include "wire/agent_child.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vigil::wire {

namespace {

constexpr std::size_t stack_bytes = 64 * 1024;
/// A killed child has ended by then, unless it hangs in a file system of the person's; then it is
/// left to itself, with nothing open but that.
constexpr Microseconds kill_patience = std::chrono::milliseconds{200};

/// All signals, while it lives.
class SignalsBlocked {
public:
    SignalsBlocked() noexcept {
        sigset_t all;
        sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;
    ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_;
};

/// The child, which does not outlive its owner.
class Messenger {
public:
    static Result<Messenger> send(AgentErrand& errand, base::UniqueFd report) {
        const std::unique_ptr<std::byte[]> stack{new std::byte[stack_bytes]};
        int pidfd = -1;
        errand.parent = ::getpid();
        const SignalsBlocked blocked;
        // No exit signal in the flags. The memory is a copy, and the stack is in it.
        if (::clone(run_agent_errand, stack.get() + stack_bytes, CLONE_PIDFD, &errand, &pidfd) < 0)
            return fail(errno, "starting a child for the ssh agent");
        return Messenger{base::UniqueFd{pidfd}, std::move(report)};
    }
    Messenger(Messenger&&) noexcept = default;
    Messenger& operator=(Messenger&&) = delete;
    ~Messenger() {
        if (!pidfd_)
            return;
        (void)base::send_signal(pidfd_.get(), SIGKILL);
        if (!base::is_readable_within(pidfd_.get(), kill_patience))
            return;
        siginfo_t info{};
        ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info,
                 WEXITED | WNOHANG | __WALL);
    }

    /// So many bytes. ECONNRESET: the child ended before.
    Result<std::string> read(std::size_t count, const base::Interruption& interruption,
                             BootTime deadline) const {
        std::string bytes(count, '\0');
        for (std::size_t at = 0; at < count;) {
            if (const auto ready = wait(interruption, deadline); !ready)
                return std::unexpected{ready.error()};
            const ssize_t got = ::read(report_.get(), bytes.data() + at, count - at);
            if (got < 0 && errno == EINTR)
                continue;
            if (got <= 0)
                return fail(ECONNRESET, "the ssh agent went away");
            at += static_cast<std::size_t>(got);
        }
        return bytes;
    }

private:
    /// For more of the report.
    Result<> wait(const base::Interruption& interruption, BootTime deadline) const {
        for (;;) {
            std::array<pollfd, 2> waited{
                {{report_.get(), POLLIN, 0}, {interruption.fd(), POLLIN, 0}}};
            const int ready =
                ::poll(waited.data(), waited.size(), base::milliseconds_until(deadline));
            if (ready == 0)
                return fail(ETIMEDOUT, "waiting for the ssh agent");
            if (ready > 0 && waited[1].revents != 0)
                return fail(ECANCELED, "waiting for the ssh agent");
            if (ready > 0)
                return {};
            if (errno != EINTR)
                return fail(errno, "waiting for the ssh agent");
        }
    }

    Messenger(base::UniqueFd pidfd, base::UniqueFd report)
        : pidfd_{std::move(pidfd)}, report_{std::move(report)} {}

    base::UniqueFd pidfd_;
    base::UniqueFd report_;
};

Error told(const AgentReport& report) {
    switch (report.step) {
    case AgentReport::Step::person:
        return {EPERM, "becoming the person whose ssh agent it is"};
    case AgentReport::Step::connecting:
        return {report.error, "connecting to the ssh agent"};
    case AgentReport::Step::talking:
        return {ECONNRESET, "the ssh agent went away"};
    case AgentReport::Step::answered:
        break;
    }
    return {EPROTO, "the child for the ssh agent says what makes no sense"};
}

} // namespace

Result<std::string> Agent::exchange(std::string_view request, Microseconds patience) const {
    AgentErrand errand{.request = request, .uid = uid_, .gid = gid_};
    // An absolute path: neither the place where the host happens to be, nor an abstract name, which
    // anybody can take.
    if (socket_.empty())
        return fail(ENOENT, "there is no ssh agent");
    if (socket_.front() != '/' || socket_.size() >= sizeof errand.address.sun_path ||
        socket_.contains('\0'))
        return fail(ENOENT, "the ssh agent's socket has no path that can be used");
    errand.address.sun_family = AF_UNIX;
    socket_.copy(errand.address.sun_path, socket_.size());
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0)
        return fail(errno, "making a pipe");
    base::UniqueFd from{ends[0]};
    base::UniqueFd to{ends[1]};
    errand.report = to.get();
    const auto deadline = base::read_boot_time() + patience;
    // Gone after the child is: what waits then comes to a host that has none of ours.
    const base::Interruption interruption;
    const auto messenger = Messenger::send(errand, std::move(from));
    to.reset(); // the child's alone from now on: its end is the pipe's
    if (!messenger)
        return std::unexpected{messenger.error()};

    const auto head = messenger->read(sizeof(AgentReport), interruption, deadline);
    if (!head)
        return head;
    AgentReport report;
    head->copy(reinterpret_cast<char*>(&report), sizeof report);
    if (report.step != AgentReport::Step::answered)
        return std::unexpected{told(report)};
    const auto prefix = messenger->read(4, interruption, deadline);
    if (!prefix)
        return prefix;
    const auto size = base::SshReader{*prefix}.number().value_or(0);
    if (size == 0 || size > max_agent_message)
        return fail(EMSGSIZE, "the ssh agent's answer has " + std::to_string(size) + " bytes");
    return messenger->read(size, interruption, deadline);
}

Result<AgentKeys> Agent::list(Microseconds patience) const {
    const auto answer = exchange(list_request(), patience);
    if (!answer)
        return std::unexpected{answer.error()};
    return read_keys(*answer);
}

Result<std::string> Agent::sign(std::string_view blob, std::string_view bytes,
                                Microseconds patience) const {
    const auto request = sign_request(blob, bytes);
    if (!request)
        return request;
    const auto answer = exchange(*request, patience);
    if (!answer)
        return answer;
    return read_signature(*answer);
}

std::vector<AgentKey> wanted_keys(const AgentKeys& has, const std::vector<std::string>& wanted) {
    std::vector<AgentKey> found;
    for (const auto& key : has.keys)
        if (std::ranges::find(wanted, key.blob) != wanted.end())
            found.push_back(key);
    return found;
}

} // namespace vigil::wire
