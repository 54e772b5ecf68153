#include "cli/relays.hpp"

#include "base/directory.hpp"
#include "base/process.hpp"
#include "base/pty.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <string_view>

#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace vigil::cli {

namespace {

// Documentation/admin-guide/devices.txt
const dev_t pty_multiplexer = makedev(5, 2);

/// They show what they made at their controlling terminal. What else makes terminals (a browser's,
/// a terminal emulator) may show them anywhere, whatever terminal it was started at.
constexpr std::array<std::string_view, 5> passing_on{"sudo", "su", "script", "systemd-run", "run0"};
/// It has none, and its clients' terminals open.
constexpr std::string_view tmux_server = "tmux: server";
constexpr std::string_view tmux_client = "tmux: client";

/// A container has ptys of its own, with numbers that are used here too.
bool is_of_this_host(const struct stat& node) {
    struct stat multiplexer{};
    struct stat ptys{};
    return (::stat("/dev/pts", &ptys) == 0 && node.st_dev == ptys.st_dev) ||
           (::stat("/dev/ptmx", &multiplexer) == 0 && node.st_dev == multiplexer.st_dev);
}

struct Descriptors {
    std::vector<dev_t> made;
    std::vector<dev_t> open; ///< terminals
};

void add(pid_t pid, int fd, Descriptors& found) {
    const std::string link = base::proc_path(pid, "fd/") + std::to_string(fd);
    std::error_code error;
    const std::string name = std::filesystem::read_symlink(link, error).native();
    struct stat node{};
    // Other files are not looked at: one on a dead file server would not answer. The terminal of a
    // login that is over is "(deleted)", and its number may be another's by now.
    if (error || !name.starts_with("/dev/") || name.ends_with(" (deleted)") ||
        ::stat(link.c_str(), &node) < 0 || !S_ISCHR(node.st_mode) || !is_of_this_host(node))
        return;
    if (node.st_rdev != pty_multiplexer)
        found.open.push_back(node.st_rdev);
    else if (const auto index = base::read_pty_index(pid, fd); index && *index)
        found.made.push_back(base::pty_device(**index));
}

/// Of a process that may not be looked into: none.
Descriptors descriptors_of(pid_t pid) {
    Descriptors found;
    static_cast<void>(base::for_numbers_in(base::proc_path(pid, "fd"), [&](int, int fd) {
        add(pid, fd, found);
        return true;
    }));
    return found;
}

struct Server {
    std::size_t relay;
    std::vector<dev_t> open;
};

/// What is found by one look at all processes. A server's clients may come behind it.
struct RelaySearch {
    std::vector<Relay> relays;
    std::vector<Server> servers;
    std::vector<Place> clients;
};

void look_at(pid_t pid, RelaySearch& search) {
    const auto stat = base::read_process_stat(pid);
    if (!stat)
        return;
    const bool serves = stat->command == tmux_server;
    // One that was stopped by ^Z shows nothing.
    if (stat->command == tmux_client && stat->terminal != 0 && stat->group == stat->foreground)
        search.clients.push_back({stat->terminal, pid});
    if (!serves && (stat->terminal == 0 || !std::ranges::count(passing_on, stat->command)))
        return;
    auto [made, open] = descriptors_of(pid);
    if (made.empty())
        return;
    if (serves)
        search.servers.push_back({search.relays.size(), std::move(open)});
    search.relays.push_back({std::move(made), serves ? std::vector<Place>{}
                                                     : std::vector<Place>{{stat->terminal, pid}}});
}

} // namespace

std::vector<Relay> read_relays() {
    RelaySearch search;
    static_cast<void>(base::for_numbers_in("/proc", [&](int, int pid) {
        look_at(pid, search);
        return true;
    }));
    for (const auto& server : search.servers)
        std::ranges::copy_if(search.clients, std::back_inserter(search.relays[server.relay].places),
                             [&](const Place& client) {
                                 return std::ranges::count(server.open, client.terminal) > 0;
                             });
    return std::move(search.relays);
}

} // namespace vigil::cli
