#include "base/cgroup.hpp"

#include "base/directory.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace vigil::base {

namespace {

constexpr const char* hierarchy = "/sys/fs/cgroup";
constexpr const char* hybrid_hierarchy = "/sys/fs/cgroup/unified";
/// systemd's, since 251. `user.` needs no capability to be read.
constexpr const char* delegate_mark = "user.delegate";

/// cgroup.procs of a session near the largest pid_max, in bytes.
constexpr std::size_t max_procs_bytes = 32 * 1024 * 1024;

constexpr int remove_attempts = 20;
constexpr useconds_t remove_pause = 500;

bool is_cgroup2(const char* path) noexcept {
    struct statfs info{};
    return ::statfs(path, &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC;
}

/// Processes of other pid namespaces read as 0 and are left out.
void append_pids(std::string_view text, std::vector<pid_t>& pids) {
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at < end) {
        pid_t pid = 0;
        const auto [stop, error] = std::from_chars(at, end, pid);
        if (error != std::errc{})
            return;
        if (pid > 0)
            pids.push_back(pid);
        at = stop + 1;
    }
}

Result<> collect(const std::string& cgroup, std::vector<pid_t>& pids, int depth) {
    const auto text = read_cgroup_file(cgroup, "cgroup.procs");
    if (text)
        append_pids(*text, pids);
    else if (text.error().code != EOPNOTSUPP) // threaded: its processes are in the parent's list
        return std::unexpected{text.error()};
    if (depth == 0)
        return {};

    const auto children = children_of(cgroup);
    if (!children)
        return std::unexpected{children.error()};
    for (const auto& child : *children) {
        const auto below = collect(cgroup + "/" + child, pids, depth - 1);
        if (!below && !is_missing(below.error()))
            return below;
    }
    return {};
}

} // namespace

const char* cgroup_root() noexcept {
    return is_cgroup2(hierarchy) ? hierarchy : hybrid_hierarchy;
}

bool has_cgroup2() noexcept {
    return is_cgroup2(cgroup_root());
}

Result<std::string> cgroup_directory(const std::string& cgroup) {
    if (cgroup.size() < 2 || cgroup[0] != '/' || cgroup.back() == '/' ||
        cgroup.find('\0') != cgroup.npos || (cgroup + "/").find("/../") != cgroup.npos)
        return fail(EINVAL, "no path of a cgroup: " + cgroup);
    return cgroup_root() + cgroup;
}

bool is_missing(const Error& error) noexcept {
    return error.code == ENOENT || error.code == ENODEV;
}

bool has_part(std::string_view text, std::string_view part, const char* separators) noexcept {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find_first_of(separators, at), text.size());
        if (text.substr(at, end - at) == part)
            return true;
        at = end + 1;
    }
    return false;
}

Result<std::vector<std::string>> folders_in(const std::string& directory) {
    std::vector<std::string> names;
    std::error_code error;
    std::filesystem::directory_iterator entries{directory, error};
    for (; !error && entries != std::filesystem::directory_iterator{}; entries.increment(error)) {
        std::error_code gone;
        if (entries->is_directory(gone))
            names.push_back(entries->path().filename().string());
    }
    if (error)
        return fail(error.value(), "looking through " + directory);
    return names;
}

Result<std::string> read_cgroup_file(const std::string& cgroup, const char* file) {
    const auto directory = cgroup_directory(cgroup);
    if (!directory)
        return std::unexpected{directory.error()};
    return read_small_file(*directory + "/" + file, max_procs_bytes);
}

Result<> write_cgroup_file(const std::string& cgroup, const char* file, std::string_view value) {
    const auto directory = cgroup_directory(cgroup);
    if (!directory)
        return std::unexpected{directory.error()};
    const std::string path = *directory + "/" + file;
    const UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!fd)
        return fail(errno, "opening " + path);
    if (::write(fd.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
        return fail(errno, "writing " + std::string{value} + " to " + path);
    return {};
}

Result<std::string> cgroup_of(pid_t pid) {
    const std::string path = proc_path(pid, "cgroup");
    const auto text = read_small_file(path);
    if (!text)
        return fail(text.error().code == ENOENT ? ESRCH : text.error().code, text.error().what);
    std::string_view rest = *text;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        const std::string_view line = rest.substr(0, end);
        if (line.starts_with("0::/"))
            return std::string{line.substr(3)};
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return fail(ENODATA, "no cgroup v2 in " + path);
}

Result<std::string> running_cgroup_of(pid_t pid) {
    pid_t running = pid;
    if (const auto stat = read_process_stat(pid); stat && stat->state == 'Z')
        // The others are all in one.
        static_cast<void>(for_numbers_in(proc_path(pid, "task"), [&](int, int thread) {
            running = thread;
            return thread == pid;
        }));
    return cgroup_of(running);
}

bool is_within(const std::string& cgroup, const std::string& other) {
    return !other.empty() && (cgroup == other || cgroup.starts_with(other + "/"));
}

bool is_in_cgroup(pid_t pid, const std::string& cgroup) {
    const auto own = running_cgroup_of(pid);
    return own && is_within(*own, cgroup);
}

Result<std::vector<pid_t>> processes_in(const std::string& scope) {
    std::vector<pid_t> pids;
    const auto collected = collect(scope, pids, max_cgroup_depth);
    if (!collected)
        return fail(is_missing(collected.error()) ? ENOENT : collected.error().code,
                    collected.error().what);
    // One that moves during the look is seen in both places.
    std::ranges::sort(pids);
    pids.erase(std::ranges::unique(pids).begin(), pids.end());
    return pids;
}

Result<std::vector<pid_t>> own_processes(const std::string& cgroup) {
    std::vector<pid_t> pids;
    if (auto read = collect(cgroup, pids, 0); !read)
        return std::unexpected{read.error()};
    return pids;
}

Result<std::vector<pid_t>> own_threads(const std::string& cgroup) {
    const auto text = read_cgroup_file(cgroup, "cgroup.threads");
    if (!text)
        return std::unexpected{text.error()};
    std::vector<pid_t> threads;
    append_pids(*text, threads);
    return threads;
}

Result<std::vector<std::string>> children_of(const std::string& cgroup) {
    const auto directory = cgroup_directory(cgroup);
    if (!directory)
        return std::unexpected{directory.error()};
    return folders_in(*directory);
}

Result<> remove_cgroup(const std::string& cgroup) {
    const auto directory = cgroup_directory(cgroup);
    if (!directory)
        return std::unexpected{directory.error()};
    for (int attempt = 0; ::rmdir(directory->c_str()) < 0; ++attempt) {
        if (errno == ENOENT)
            return {};
        if (errno != EBUSY || attempt == remove_attempts)
            return fail(errno, "removing " + *directory);
        ::usleep(remove_pause);
    }
    return {};
}

Result<> end_frozen_cgroup(const std::string& cgroup) {
    const auto killed = write_cgroup_file(cgroup, "cgroup.kill", "1");
    const auto thawed = write_cgroup_file(cgroup, "cgroup.freeze", "0");
    for (const auto& written : {killed, thawed})
        if (!written && !is_missing(written.error()))
            return written;
    return {};
}

bool is_delegated(const std::string& cgroup) {
    const auto directory = cgroup_directory(cgroup);
    char value = 0;
    return directory && ::getxattr(directory->c_str(), delegate_mark, &value, 1) == 1 &&
           value == '1';
}

} // namespace vigil::base
