#include "daemon/enforce/work.hpp"

#include "base/directory.hpp"
#include "daemon/enforce/connection.hpp"
#include "daemon/enforce/descriptors.hpp"
#include "daemon/enforce/scope.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <map>
#include <string_view>
#include <utility>

// For tcpi_bytes_received: netinet/tcp.h has less.
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vigil::enforce {

namespace {

/// As the kernel has them: of longer names the first 15 bytes.
constexpr std::array<std::string_view, 6> programs_that_copy{
    "sftp-server", "scp", "rsync", "git-upload-pack", "git-receive-pac", "git-upload-arch"};

bool is_socket(int folder, int number) noexcept {
    std::array<char, 16> name{};
    std::to_chars(name.data(), name.data() + name.size() - 1, number);
    struct statx info{};
    return ::statx(folder, name.data(), AT_STATX_DONT_SYNC, STATX_TYPE, &info) == 0 &&
           S_ISSOCK(info.stx_mode);
}

/// nullopt: it is no TCP connection, or was closed meanwhile.
Result<std::optional<std::uint64_t>> bytes_of(int pidfd, int number) {
    const base::UniqueFd copy{static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd, number, 0U))};
    if (!copy && (errno == EBADF || errno == ESRCH))
        return std::nullopt;
    if (!copy)
        return fail(errno, "fetching a descriptor");
    int protocol = 0;
    socklen_t size = sizeof protocol;
    if (::getsockopt(copy.get(), SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0 ||
        protocol != IPPROTO_TCP)
        return std::nullopt;
    tcp_info info{};
    size = sizeof info;
    if (::getsockopt(copy.get(), IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
        return fail(errno, "reading TCP_INFO");
    // A socket that listens or never was connected has been carrying nothing.
    if (size < offsetof(tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received)
        return fail(ENODATA, "TCP_INFO without bytes");
    return info.tcpi_bytes_received + info.tcpi_bytes_acked;
}

/// The processes of a session by who started whom.
class Family {
public:
    explicit Family(std::vector<pid_t> carriers) : carriers_{std::move(carriers)} {}

    void add(base::ProcessStat stat) { members_.insert_or_assign(stat.pid, std::move(stat)); }
    bool empty() const noexcept { return members_.empty(); }

    bool only_copies(const std::string& leader_command) const {
        std::vector<pid_t> copying;
        for (const auto& [pid, stat] : members_)
            if (copies(stat, leader_command))
                copying.push_back(pid);
        return !copying.empty() && std::ranges::all_of(members_, [&](const auto& member) {
            return std::ranges::any_of(copying, [&](pid_t one) {
                return descends(member.first, one) || descends(one, member.first);
            });
        });
    }

private:
    bool copies(const base::ProcessStat& stat, const std::string& leader_command) const {
        // internal-sftp is sshd itself, a generation below the one that carries the bytes.
        const bool is_sshds = std::ranges::count(carriers_, stat.parent) > 0 &&
                              stat.command == leader_command && stat.command.starts_with("sshd");
        return is_sshds ||
               std::ranges::find(programs_that_copy, stat.command) != programs_that_copy.end();
    }

    bool descends(pid_t pid, pid_t from) const {
        // No longer than there are processes: what is read one by one may look like a circle.
        for (std::size_t step = 0; step <= members_.size(); ++step) {
            if (pid == from)
                return true;
            const auto found = members_.find(pid);
            if (found == members_.end())
                return false;
            pid = found->second.parent;
        }
        return false;
    }

    const std::vector<pid_t> carriers_;
    std::map<pid_t, base::ProcessStat> members_;
};

} // namespace

Result<Microseconds> processor_time(const std::string& scope) {
    const auto text = base::read_cgroup_file(scope, "cpu.stat");
    if (!text)
        return std::unexpected{text.error()};
    constexpr std::string_view label = "usage_usec ";
    const auto at = text->find(label);
    std::int64_t usage = 0;
    if (at == text->npos ||
        std::from_chars(text->data() + at + label.size(), text->data() + text->size(), usage).ec !=
            std::errc{})
        return fail(ENODATA, "no usage_usec in cpu.stat of " + scope);
    return Microseconds{usage};
}

Result<std::uint64_t> connection_bytes(pid_t process) {
    const auto pidfd = base::open_pidfd(process);
    if (!pidfd)
        return std::unexpected{pidfd.error()};
    std::vector<int> sockets;
    std::size_t looked = 0;
    const auto done =
        base::for_numbers_in(base::proc_path(process, "fd"), [&](int folder, int number) {
            if (is_socket(folder, number))
                sockets.push_back(number);
            return ++looked < max_leader_descriptors;
        });
    if (!done)
        return std::unexpected{done.error()};
    for (const int number : sockets) {
        const auto bytes = bytes_of(pidfd->get(), number);
        if (!bytes)
            return std::unexpected{bytes.error()};
        if (*bytes)
            return **bytes;
    }
    return 0;
}

core::WorkDone read_work(const std::string& scope, pid_t leader, uid_t user, MovedReader& reader,
                         Microseconds kept) {
    core::WorkDone work;
    if (const auto time = processor_time(scope))
        work.processor = *time;
    // Of other leaders no descriptor is fetched: to close the copy may be to close the socket.
    if (!is_sshd(leader))
        work.bytes = 0;
    else if (const auto bytes = connection_bytes(leader))
        work.bytes = *bytes;
    if (auto moved = reader.read(user, scope, leader, kept))
        work.moved = std::move(*moved);
    return work;
}

Result<policy::SessionClass> classify(const std::string& scope, pid_t leader) {
    const auto processes = base::processes_in(scope);
    if (!processes)
        return std::unexpected{processes.error()};
    const auto own = base::read_process_stat(leader);
    if (!own)
        return std::unexpected{own.error()};
    auto carriers = carriers_of(*processes, leader);
    if (processes->size() > max_classified + carriers.size())
        return policy::SessionClass::command;
    Family family{carriers};
    for (const pid_t pid : *processes) {
        if (std::ranges::count(carriers, pid) > 0)
            continue;
        auto stat = base::read_process_stat(pid);
        if (stat && !base::has_ended(*stat))
            family.add(std::move(*stat));
    }
    if (family.empty())
        return policy::SessionClass::forward;
    return family.only_copies(own->command) ? policy::SessionClass::transfer
                                            : policy::SessionClass::command;
}

} // namespace vigil::enforce
