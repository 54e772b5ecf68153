#include "wire/agent_child.hpp"

#include "wire/agent_messages.hpp"

#include <array>
#include <cerrno>
#include <csignal>

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vigil::wire {

namespace {

/// From here on the host's descriptors cannot be used, whatever the person makes of this process.
bool keep_only(int fd) noexcept {
    const auto kept = static_cast<unsigned>(fd);
    return (kept == 0 || ::close_range(0, kept - 1, 0) == 0) &&
           ::close_range(kept + 1, ~0U, 0) == 0;
}

/// Capabilities too, where the person is root: what he may open is what his uid may.
bool drop_capabilities() noexcept {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
    ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return ::syscall(SYS_capset, &header, none.data()) == 0;
}

// The system calls themselves: glibc's functions have each thread of the process change, and this
// copy of one knows of threads that it has not got. Where there are two, the one of 16 bits is old.
#ifdef SYS_setresuid32
constexpr long set_user = SYS_setresuid32;
constexpr long set_group = SYS_setresgid32;
constexpr long set_groups = SYS_setgroups32;
#else
constexpr long set_user = SYS_setresuid;
constexpr long set_group = SYS_setresgid;
constexpr long set_groups = SYS_setgroups;
#endif

/// The person's uid and gid in all three places, no other group, no way back: each is looked at
/// once more, since a system call that is filtered away may say that it was done.
bool become(uid_t uid, gid_t gid) noexcept {
    if (uid == static_cast<uid_t>(-1) || gid == static_cast<gid_t>(-1))
        return false;
    const bool is_root = ::geteuid() == 0;
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    // Who is not root has no groups but his own.
    if (is_root && (::syscall(set_groups, 0, nullptr) < 0 || ::getgroups(0, nullptr) != 0))
        return false;
    if (::syscall(set_group, gid, gid, gid) < 0 || ::syscall(set_user, uid, uid, uid) < 0 ||
        !drop_capabilities())
        return false;
    uid_t real = 0;
    uid_t effective = 0;
    uid_t saved = 0;
    gid_t real_group = 0;
    gid_t effective_group = 0;
    gid_t saved_group = 0;
    if (::getresuid(&real, &effective, &saved) < 0 ||
        ::getresgid(&real_group, &effective_group, &saved_group) < 0)
        return false;
    if (real != uid || effective != uid || saved != uid || real_group != gid ||
        effective_group != gid || saved_group != gid)
        return false;
    constexpr auto unchanged = static_cast<uid_t>(-1);
    return uid == 0 || ::syscall(set_user, unchanged, 0, unchanged) < 0;
}

/// The host's secrets are in this memory, and the uid is now a user's. Asked for after the change
/// of uid, which takes both back.
bool hide_and_stay_with(pid_t parent) noexcept {
    return ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && ::getppid() == parent;
}

bool write_all(int fd, const char* bytes, std::size_t count) noexcept {
    while (count > 0) {
        const ssize_t done = ::write(fd, bytes, count);
        if (done <= 0)
            return false;
        bytes += done;
        count -= static_cast<std::size_t>(done);
    }
    return true;
}

[[noreturn]] void give_up(const AgentErrand& errand, AgentReport::Step step, int error) noexcept {
    const AgentReport report{step, error};
    write_all(errand.report, reinterpret_cast<const char*>(&report), sizeof report);
    ::_exit(1);
}

/// The agent's answer into the pipe, as it comes: no more than its length says, nor than the bound.
void relay(const AgentErrand& errand, int agent) noexcept {
    std::array<char, 4096> buffer;
    std::size_t have = 0;
    while (have < 4) {
        const ssize_t got = ::read(agent, buffer.data() + have, 4 - have);
        if (got <= 0)
            give_up(errand, AgentReport::Step::talking, got < 0 ? errno : ECONNRESET);
        have += static_cast<std::size_t>(got);
    }
    std::size_t left = 0;
    for (std::size_t i = 0; i < 4; ++i)
        left = left << 8 | static_cast<unsigned char>(buffer[i]);
    const AgentReport report{AgentReport::Step::answered, 0};
    // Of what is too long the parent is told no more than its length.
    if (!write_all(errand.report, reinterpret_cast<const char*>(&report), sizeof report) ||
        !write_all(errand.report, buffer.data(), 4) || left > max_agent_message)
        return;
    while (left > 0) {
        const std::size_t part = left < buffer.size() ? left : buffer.size();
        const ssize_t got = ::read(agent, buffer.data(), part);
        if (got <= 0 || !write_all(errand.report, buffer.data(), static_cast<std::size_t>(got)))
            return;
        left -= static_cast<std::size_t>(got);
    }
}

} // namespace

int run_agent_errand(void* argument) noexcept {
    const AgentErrand& errand = *static_cast<const AgentErrand*>(argument);
    if (!keep_only(errand.report))
        give_up(errand, AgentReport::Step::person, errno);
    if (!become(errand.uid, errand.gid) || !hide_and_stay_with(errand.parent))
        give_up(errand, AgentReport::Step::person, EPERM);
    const int agent = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (agent < 0 || ::connect(agent, reinterpret_cast<const sockaddr*>(&errand.address),
                               sizeof errand.address) < 0)
        give_up(errand, AgentReport::Step::connecting, errno);
    if (!write_all(agent, errand.request.data(), errand.request.size()))
        give_up(errand, AgentReport::Step::talking, errno);
    relay(errand, agent);
    ::_exit(0);
}

} // namespace vigil::wire
