#include "base/process.hpp"
#include "daemon/enforce/descriptors.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/enforce/terminal_file.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <string_view>

#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace vigil::enforce {

namespace {

// Documentation/admin-guide/devices.txt
constexpr unsigned first_pty_major = 136;
constexpr unsigned last_pty_major = 143;

bool is_pty(std::uint64_t device) noexcept {
    return major(device) >= first_pty_major && major(device) <= last_pty_major;
}

std::string proc_path(pid_t pid, const char* file) {
    return "/proc/" + std::to_string(pid) + "/" + file;
}

template <typename Number>
bool parse_number(std::string_view text, Number& number) noexcept {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc{} && stop == end;
}

const Terminal* find(const std::vector<Terminal>& terminals, std::uint64_t device) noexcept {
    const auto found = std::ranges::find(terminals, device, &Terminal::device);
    return found == terminals.end() ? nullptr : &*found;
}

struct Executable {
    dev_t device = 0;
    ino_t inode = 0;
    uid_t owner = uid_t(-1);

    bool operator==(const Executable&) const = default;
};

Executable executable_of(pid_t pid) noexcept {
    struct stat info{};
    if (::stat(proc_path(pid, "exe").c_str(), &info) < 0)
        return {};
    return {.device = info.st_dev, .inode = info.st_ino, .owner = info.st_uid};
}

/// "tty-index:\t3" in the fdinfo of a pty's master.
bool parse_pty_index(std::string_view fdinfo, std::uint32_t& index) noexcept {
    constexpr std::string_view label = "tty-index:\t";
    const std::size_t at = fdinfo.find(label);
    if (at == fdinfo.npos)
        return false;
    const std::string_view rest = fdinfo.substr(at + label.size());
    return parse_number(rest.substr(0, rest.find('\n')), index);
}

void add_masters_of(pid_t pid, std::vector<Terminal>& terminals) {
    // A folder that cannot be read has none: the process is gone.
    static_cast<void>(for_numbers_in(proc_path(pid, "fdinfo"), [&](int, int fd) {
        const auto text = base::read_small_file(proc_path(pid, "fdinfo/") + std::to_string(fd));
        std::uint32_t index = 0;
        if (!text || !parse_pty_index(*text, index))
            return true;
        auto terminal = pty_terminal(index);
        if (terminal && find(terminals, terminal->device) == nullptr)
            terminals.push_back(std::move(*terminal));
        return true;
    }));
}

/// Of a login without a scope: those that could carry its bytes, sorted. (proc_pid_task(5),
/// children; ENOENT too where the kernel is built without it.)
Result<std::vector<pid_t>> leader_and_children(pid_t leader) {
    const auto text =
        base::read_small_file(proc_path(leader, "task/") + std::to_string(leader) + "/children");
    if (!text)
        return std::unexpected{text.error()};
    std::vector<pid_t> processes{leader};
    std::string_view rest = *text;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        pid_t pid = 0;
        if (parse_number(rest.substr(0, end), pid))
            processes.push_back(pid);
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    std::ranges::sort(processes);
    return processes;
}

/// The terminal that login(1) and its like were started on: the leader's own, or, as login gives
/// it to the shell, its child's.
void add_controlling(const std::vector<pid_t>& processes, pid_t leader,
                     std::vector<Terminal>& terminals) {
    for (const pid_t pid : processes) {
        const auto stat = base::read_process_stat(pid);
        if (!stat || stat->terminal == 0 || (pid != leader && stat->parent != leader) ||
            find(terminals, stat->terminal) != nullptr)
            continue;
        auto terminal = terminal_of(stat->terminal);
        if (terminal)
            terminals.push_back(std::move(*terminal));
    }
}

} // namespace

// sshd, or sshd-session as OpenSSH has it since 9.8. Of other leaders any child may be the user's
// own, and run the leader's file under his own library.
bool is_sshd(pid_t leader) {
    std::error_code error;
    const auto path = std::filesystem::read_symlink(proc_path(leader, "exe"), error);
    return !error && path.filename().native().starts_with("sshd") &&
           executable_of(leader).owner == 0;
}

std::vector<pid_t> carriers_of(const std::vector<pid_t>& processes, pid_t leader) {
    if (!std::ranges::binary_search(processes, leader))
        return {};
    std::vector<pid_t> carriers{leader};
    if (!is_sshd(leader))
        return carriers;
    const Executable own = executable_of(leader);
    for (const pid_t pid : processes) {
        const auto stat = base::read_process_stat(pid);
        if (stat && stat->parent == leader && executable_of(pid) == own)
            carriers.push_back(pid);
    }
    return carriers;
}

bool left_by_sshd(const std::vector<pid_t>& processes, const std::vector<pid_t>& held,
                  pid_t leader) {
    const Executable own = executable_of(leader);
    return is_sshd(leader) && std::ranges::any_of(held, [&](pid_t pid) {
               const auto stat = base::read_process_stat(pid);
               return stat && !std::ranges::binary_search(processes, stat->parent) &&
                      executable_of(pid) == own;
           });
}

Result<Terminal> pty_terminal(std::uint32_t index) {
    const std::string path = "/dev/pts/" + std::to_string(index);
    struct stat info{};
    if (::stat(path.c_str(), &info) < 0)
        return fail(errno, "looking at " + path);
    if (!S_ISCHR(info.st_mode) || !is_pty(info.st_rdev))
        return fail(ENOTTY, path);
    return Terminal{.path = path, .device = info.st_rdev};
}

Result<Terminal> terminal_of(std::uint64_t device) {
    if (is_pty(device))
        return pty_terminal((major(device) - first_pty_major) * 256 + minor(device));
    const std::string numbers = std::to_string(major(device)) + ":" + std::to_string(minor(device));
    const auto text = base::read_small_file("/sys/dev/char/" + numbers + "/uevent");
    if (!text)
        return std::unexpected{text.error()};
    constexpr std::string_view label = "DEVNAME=";
    const std::size_t at = text->find(label);
    if (at == text->npos)
        return fail(ENODEV, "no name of device " + numbers);
    const std::size_t start = at + label.size();
    const std::string path = "/dev/" + text->substr(start, text->find('\n', start) - start);
    struct stat info{};
    if (::lstat(path.c_str(), &info) < 0)
        return fail(errno, "looking at " + path);
    if (!S_ISCHR(info.st_mode) || info.st_rdev != device)
        return fail(ENODEV, path + " is not device " + numbers);
    return Terminal{.path = path, .device = device};
}

Result<std::vector<Terminal>> find_terminals(const std::string& scope, pid_t leader) {
    const auto processes = scope.empty() ? leader_and_children(leader) : processes_in(scope);
    if (!processes)
        return std::unexpected{processes.error()};
    std::vector<Terminal> terminals;
    const std::vector<pid_t> carriers = carriers_of(*processes, leader);
    for (const pid_t pid : carriers)
        add_masters_of(pid, terminals);
    if (terminals.empty() && !carriers.empty())
        add_controlling(*processes, leader, terminals);
    return terminals;
}

} // namespace vigil::enforce
