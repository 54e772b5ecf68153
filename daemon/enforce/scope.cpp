#include "daemon/enforce/scope.hpp"

#include "base/clock.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <string_view>

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace vigil::enforce {

namespace {

constexpr const char* hierarchy = "/sys/fs/cgroup";
constexpr const char* hybrid_hierarchy = "/sys/fs/cgroup/unified";

/// Extended attributes of the scope's folder. `user.` needs no capability to be read.
constexpr const char* thawed_mark = "user.vigil.thawed";
constexpr const char* delegate_mark = "user.delegate"; ///< systemd's own, since 251

/// cgroup.procs of a session near the largest pid_max, in bytes.
constexpr std::size_t max_procs_bytes = 32 * 1024 * 1024;
/// How often thaw() looks for what is left in a child, and tries to remove it.
constexpr int thaw_passes = 50;
/// How often seal_connection() looks for what is left in the scope's own cgroup.
constexpr int seal_passes = 50;
constexpr int remove_attempts = 20;
constexpr useconds_t remove_pause = 500;
/// A deeper tree below a scope is nobody's.
constexpr int max_depth = 16;

bool is_cgroup2(const char* path) noexcept {
    struct statfs info{};
    return ::statfs(path, &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC;
}

/// EINVAL for what is no path of a cgroup below the root: the root itself is never ours to touch.
Result<std::string> directory_of(const std::string& cgroup) {
    if (cgroup.size() < 2 || cgroup[0] != '/' || cgroup.back() == '/' ||
        cgroup.find('\0') != cgroup.npos || (cgroup + "/").find("/../") != cgroup.npos)
        return fail(EINVAL, "no path of a cgroup: " + cgroup);
    const char* root = is_cgroup2(hierarchy) ? hierarchy : hybrid_hierarchy;
    return root + cgroup;
}

constexpr const char* lock_children[]{frozen_child, connection_child, work_child};

std::string child_of(const std::string& scope, const char* child = frozen_child) {
    return scope + "/" + child;
}

/// A cgroup that is removed answers ENODEV to those who have its files open.
bool is_missing(const Error& error) noexcept {
    return error.code == ENOENT || error.code == ENODEV;
}

Result<> write_file(const std::string& cgroup, const char* file, std::string_view value) {
    const auto directory = directory_of(cgroup);
    if (!directory)
        return std::unexpected{directory.error()};
    const std::string path = *directory + "/" + file;
    const base::UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!fd)
        return fail(errno, "opening " + path);
    if (::write(fd.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
        return fail(errno, "writing " + std::string{value} + " to " + path);
    return {};
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

/// "frozen 1" in the text of cgroup.events.
bool has_line(std::string_view text, std::string_view line) noexcept {
    return has_part(text, line, "\n");
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

/// What still runs below the child goes back where it came from.
Result<> move_back(const std::string& scope, const char* child) {
    for (int pass = 0; pass < thaw_passes; ++pass) {
        const auto pids = processes_in(child_of(scope, child));
        if (!pids)
            return std::unexpected{pids.error()};
        if (pids->empty())
            return {};
        for (const pid_t pid : *pids) {
            const auto moved = write_file(scope, "cgroup.procs", std::to_string(pid));
            if (!moved && moved.error().code != ESRCH)
                return moved;
        }
    }
    return fail(EBUSY, "emptying " + child_of(scope, child));
}

/// A cgroup stays busy for a moment after its last process has left.
Result<> remove_child(const std::string& scope, const char* child) {
    const auto directory = directory_of(child_of(scope, child));
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

/// A folder that is gone has none.
std::vector<std::string> folders_in(const std::string& directory) {
    std::vector<std::string> names;
    std::error_code error;
    std::filesystem::directory_iterator entries{directory, error};
    for (; !error && entries != std::filesystem::directory_iterator{}; entries.increment(error)) {
        std::error_code gone;
        if (entries->is_directory(gone))
            names.push_back(entries->path().filename().string());
    }
    return names;
}

/// Cgroups come and go meanwhile, so a folder that vanishes ends nothing.
void find_held(const std::string& root, const std::string& cgroup, int depth,
               std::vector<std::string>& scopes) {
    for (const auto& name : folders_in(root + cgroup)) {
        const std::string path = root + cgroup + "/" + name;
        struct stat info{};
        if (name == frozen_child && ::lstat(path.c_str(), &info) == 0 && info.st_uid == 0)
            scopes.push_back(cgroup);
        else if (depth > 0)
            find_held(root, cgroup + "/" + name, depth - 1, scopes);
    }
}

Result<> unless_missing(Result<> result) {
    if (!result && is_missing(result.error()))
        return {};
    return result;
}

/// Slices have units in them, and units have what they like.
void find_units(const std::string& cgroup, int depth, std::size_t most,
                std::vector<std::string>& units) {
    for (const auto& name : children_of(cgroup).value_or(std::vector<std::string>{})) {
        const std::string path = cgroup + "/" + name;
        if (units.size() >= most)
            return;
        if (name.ends_with(".slice") && depth > 0)
            find_units(path, depth - 1, most, units);
        else if (name != "init.scope" && !is_gone(path)) // the manager itself
            units.push_back(name);
    }
}

Result<> make_child(const std::string& scope, const char* child) {
    const auto directory = directory_of(child_of(scope, child));
    if (!directory)
        return std::unexpected{directory.error()};
    if (::mkdir(directory->c_str(), 0755) < 0 && errno != EEXIST)
        return fail(errno, "making " + *directory);
    return {};
}

Result<> move(const std::string& cgroup, pid_t pid) {
    if (pid <= 0) // 0 would be vigild itself
        return fail(EINVAL, "moving process " + std::to_string(pid));
    auto moved = write_file(cgroup, "cgroup.procs", std::to_string(pid));
    if (!moved && moved.error().code == ESRCH)
        return {};
    return moved;
}

/// Nothing is left in the scope's own cgroup: a controller can be given to its children only then
/// (cgroups(7), "no internal processes"). false: more and more come.
Result<bool> part(const std::string& scope, const std::vector<pid_t>& carriers) {
    for (int pass = 0; pass < seal_passes; ++pass) {
        std::vector<pid_t> own;
        if (const auto read = collect(scope, own, 0); !read)
            return std::unexpected{read.error()};
        if (own.empty())
            return true;
        for (const pid_t pid : own) {
            const bool carries = std::ranges::find(carriers, pid) != carriers.end();
            const auto moved = move(child_of(scope, carries ? connection_child : work_child), pid);
            if (!moved)
                return std::unexpected{moved.error()};
        }
    }
    return false;
}

} // namespace

Result<std::string> read_cgroup_file(const std::string& cgroup, const char* file) {
    const auto directory = directory_of(cgroup);
    if (!directory)
        return std::unexpected{directory.error()};
    return base::read_small_file(*directory + "/" + file, max_procs_bytes);
}

Result<std::string> cgroup_of(pid_t pid) {
    const std::string path = "/proc/" + std::to_string(pid) + "/cgroup";
    const auto text = base::read_small_file(path);
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

Result<std::vector<pid_t>> processes_in(const std::string& scope) {
    std::vector<pid_t> pids;
    const auto collected = collect(scope, pids, max_depth);
    if (!collected)
        return fail(is_missing(collected.error()) ? ENOENT : collected.error().code,
                    collected.error().what);
    // One that moves during the look is seen in both places.
    std::ranges::sort(pids);
    pids.erase(std::ranges::unique(pids).begin(), pids.end());
    return pids;
}

Result<std::vector<std::string>> children_of(const std::string& cgroup) {
    const auto directory = directory_of(cgroup);
    if (!directory)
        return std::unexpected{directory.error()};
    return folders_in(*directory);
}

Result<> make_frozen_child(const std::string& scope) {
    return make_child(scope, frozen_child);
}

Result<> move_to_frozen(const std::string& scope, pid_t pid) {
    return move(child_of(scope), pid);
}

Result<bool> freeze(const std::string& scope, Microseconds patience) {
    const std::string child = child_of(scope);
    if (const auto written = write_file(child, "cgroup.freeze", "1"); !written)
        return std::unexpected{written.error()};
    const auto directory = directory_of(child);
    if (!directory)
        return std::unexpected{directory.error()};
    const base::UniqueFd events{
        ::open((*directory + "/cgroup.events").c_str(), O_RDONLY | O_CLOEXEC)};
    if (!events)
        return fail(errno, "opening " + *directory + "/cgroup.events");
    const BootTime until = base::read_boot_time() + patience;
    while (true) {
        // The notification can be 10 ms late, so the file itself is read again every millisecond.
        const auto text = read_cgroup_file(child, "cgroup.events");
        if (!text)
            return std::unexpected{text.error()};
        if (has_line(*text, "frozen 1"))
            return true;
        if (base::read_boot_time() >= until)
            return false;
        pollfd waiting{.fd = events.get(), .events = POLLPRI, .revents = 0};
        ::poll(&waiting, 1, 1);
    }
}

Result<bool> seal_connection(const std::string& scope, const std::vector<pid_t>& carriers) {
    const auto controllers = read_cgroup_file(scope, "cgroup.controllers");
    if (!controllers)
        return std::unexpected{controllers.error()};
    if (!has_part(*controllers, "pids", " \n"))
        return false;
    for (const char* child : {connection_child, work_child})
        if (const auto made = make_child(scope, child); !made)
            return std::unexpected{made.error()};
    const auto parted = part(scope, carriers);
    if (!parted || !*parted)
        return parted;
    if (const auto given = write_file(scope, "cgroup.subtree_control", "+pids"); !given)
        return std::unexpected{given.error()};
    const auto limited = write_file(child_of(scope, connection_child), "pids.max", "0");
    if (!limited)
        return std::unexpected{limited.error()};
    return true;
}

Result<> thaw(const std::string& scope) {
    // As long as its children have a controller, nothing can be moved back into the scope.
    const auto taken = write_file(scope, "cgroup.subtree_control", "-pids");
    if (!taken && is_missing(taken.error()))
        return {};
    const auto written = unless_missing(write_file(child_of(scope), "cgroup.freeze", "0"));
    if (!written)
        return written;
    for (const char* child : lock_children) {
        if (const auto moved = move_back(scope, child); !moved && !is_missing(moved.error()))
            return moved;
        if (const auto removed = remove_child(scope, child); !removed)
            return removed;
    }
    return {};
}

Result<> kill_frozen(const std::string& scope) {
    const auto killed = write_file(child_of(scope), "cgroup.kill", "1");
    // Thawed even where the kill was refused: nothing may stay frozen for ever.
    const auto thawed = write_file(child_of(scope), "cgroup.freeze", "0");
    const auto unsealed =
        unless_missing(write_file(child_of(scope, connection_child), "pids.max", "max"));
    if (const auto result = unless_missing(killed ? thawed : killed); !result)
        return result;
    return unsealed;
}

Result<> kill_scope(const std::string& scope) {
    return unless_missing(write_file(scope, "cgroup.kill", "1"));
}

bool is_gone(const std::string& scope) {
    const auto text = read_cgroup_file(scope, "cgroup.events");
    return text ? has_line(*text, "populated 0") : is_missing(text.error());
}

bool is_frozen(const std::string& scope) {
    // The wish, not cgroup.events: with one process in state D the rest stands still all the same.
    const auto text = read_cgroup_file(child_of(scope), "cgroup.freeze");
    return text && has_line(*text, "1");
}

Result<std::vector<std::string>> held_scopes() {
    const std::string root = is_cgroup2(hierarchy) ? hierarchy : hybrid_hierarchy;
    if (!is_cgroup2(root.c_str()))
        return fail(ENOENT, "no cgroup v2 hierarchy at " + root);
    std::vector<std::string> scopes;
    find_held(root, {}, max_depth, scopes);
    return scopes;
}

Result<> mark_thawed(const std::string& scope, BootTime when) {
    const auto directory = directory_of(scope);
    if (!directory)
        return std::unexpected{directory.error()};
    const std::string value = std::to_string(when.time_since_epoch().count());
    if (::setxattr(directory->c_str(), thawed_mark, value.data(), value.size(), 0) < 0)
        return fail(errno, "marking " + *directory);
    return {};
}

std::optional<BootTime> thawed_by_hand(const std::string& scope) {
    const auto directory = directory_of(scope);
    char value[32];
    const ssize_t size =
        directory ? ::getxattr(directory->c_str(), thawed_mark, value, sizeof value) : -1;
    std::int64_t when = 0;
    if (size <= 0 || std::from_chars(value, value + size, when).ec != std::errc{})
        return std::nullopt;
    return BootTime{Microseconds{when}};
}

bool is_at_rest(const std::string& scope) {
    const auto text = read_cgroup_file(child_of(scope), "cgroup.events");
    return text && has_line(*text, "frozen 1");
}

std::vector<std::string> user_units(uid_t user, std::size_t most) {
    const std::string number = std::to_string(user);
    std::vector<std::string> units;
    find_units("/user.slice/user-" + number + ".slice/user@" + number + ".service", max_depth, most,
               units);
    return units;
}

bool is_delegated(const std::string& scope) {
    const auto directory = directory_of(scope);
    char value = 0;
    return directory && ::getxattr(directory->c_str(), delegate_mark, &value, 1) == 1 &&
           value == '1';
}

} // namespace vigil::enforce
