#include "daemon/enforce/scope.hpp"

#include "base/clock.hpp"
#include "daemon/enforce/elevated.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ranges>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace vigil::enforce {

namespace {

/// An extended attribute of the scope's folder. `user.` needs no capability to be read.
constexpr const char* thawed_mark = "user.vigil.thawed";

/// How often thaw() looks for what is left in a child, and tries to remove it.
constexpr int thaw_passes = 50;
/// How often seal_connection() looks for what is left in the scope's own cgroup.
constexpr int seal_passes = 50;
constexpr const char* lock_children[]{frozen_child, connection_child, work_child};

std::string child_of(const std::string& scope, const char* child = frozen_child) {
    return scope + "/" + child;
}

/// "frozen 1" in the text of cgroup.events.
bool has_line(std::string_view text, std::string_view line) noexcept {
    return base::has_part(text, line, "\n");
}

/// What still runs in a cgroup goes to another; if that is gone meanwhile, to the scope.
Result<> move_all(const std::string& scope, const std::string& from, const std::string& to) {
    for (int pass = 0; pass < thaw_passes; ++pass) {
        auto pids = base::own_processes(from);
        // A thread's number takes all of its process along.
        if (pids && pids->empty())
            pids = base::own_threads(from);
        if (!pids)
            return std::unexpected{pids.error()};
        if (pids->empty())
            return {};
        for (const pid_t pid : *pids) {
            auto moved = base::write_cgroup_file(to, "cgroup.procs", std::to_string(pid));
            if (!moved && base::is_missing(moved.error()))
                moved = base::write_cgroup_file(scope, "cgroup.procs", std::to_string(pid));
            if (!moved && moved.error().code != ESRCH)
                return moved;
        }
    }
    return fail(EBUSY, "emptying " + from);
}

/// What still runs below the child goes back where it came from.
Result<> move_back(const std::string& scope, const char* child) {
    for (const auto& place : elevated_below(child_of(scope, child)))
        if (const auto moved = move_all(scope, child_of(scope, child) + place, scope + place);
            !moved && !base::is_missing(moved.error()))
            return moved;
    return move_all(scope, child_of(scope, child), scope);
}

Result<> remove_child(const std::string& scope, const char* child) {
    auto places = elevated_below(child_of(scope, child));
    for (const auto& place : places | std::views::reverse) // the innermost first
        if (const auto removed = base::remove_cgroup(child_of(scope, child) + place); !removed)
            return removed;
    return base::remove_cgroup(child_of(scope, child));
}

/// Cgroups come and go meanwhile, so a folder that vanishes ends nothing.
void find_held(const std::string& root, const std::string& cgroup, int depth,
               std::vector<std::string>& scopes) {
    for (const auto& name : base::folders_in(root + cgroup).value_or(std::vector<std::string>{})) {
        const std::string path = root + cgroup + "/" + name;
        struct stat info{};
        if (name == frozen_child && ::lstat(path.c_str(), &info) == 0 && info.st_uid == 0)
            scopes.push_back(cgroup);
        else if (depth > 0)
            find_held(root, cgroup + "/" + name, depth - 1, scopes);
    }
}

Result<> unless_missing(Result<> result) {
    if (!result && base::is_missing(result.error()))
        return {};
    return result;
}

/// Slices have units in them, and units have what they like.
void find_units(const std::string& cgroup, int depth, std::size_t most,
                std::vector<std::string>& units) {
    for (const auto& name : base::children_of(cgroup).value_or(std::vector<std::string>{})) {
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
    const auto directory = base::cgroup_directory(child_of(scope, child));
    if (!directory)
        return std::unexpected{directory.error()};
    if (::mkdir(directory->c_str(), 0755) < 0 && errno != EEXIST)
        return fail(errno, "making " + *directory);
    return {};
}

Result<> move(const std::string& cgroup, pid_t pid) {
    if (pid <= 0) // 0 would be vigild itself
        return fail(EINVAL, "moving process " + std::to_string(pid));
    auto moved = base::write_cgroup_file(cgroup, "cgroup.procs", std::to_string(pid));
    if (!moved && moved.error().code == ESRCH)
        return {};
    return moved;
}

/// Nothing is left in the scope's own cgroup: a controller can be given to its children only then
/// (cgroups(7), "no internal processes"). false: more and more come.
Result<bool> part(const std::string& scope, const std::vector<pid_t>& carriers) {
    for (int pass = 0; pass < seal_passes; ++pass) {
        auto own = base::own_processes(scope);
        if (!own)
            return std::unexpected{own.error()};
        // What is listed for a first thread that has ended alone has been moved.
        if (pass > 0)
            std::erase_if(*own, [&](pid_t pid) { return base::running_cgroup_of(pid) != scope; });
        if (own->empty())
            return true;
        for (const pid_t pid : *own) {
            const bool carries = std::ranges::find(carriers, pid) != carriers.end();
            const auto moved = move(child_of(scope, carries ? connection_child : work_child), pid);
            if (!moved)
                return std::unexpected{moved.error()};
        }
    }
    return false;
}

} // namespace

Result<> make_frozen_child(const std::string& scope) {
    return make_child(scope, frozen_child);
}

/// One of an elevated session's keeps its place in there.
Result<> move_to_frozen(const std::string& scope, pid_t pid) {
    const auto cgroup = base::running_cgroup_of(pid);
    const auto place = elevated_part(scope, cgroup.value_or(std::string{}));
    if (const auto made = make_elevated(child_of(scope), place); !made)
        return made;
    return move(child_of(scope) + place, pid);
}

Result<bool> freeze(const std::string& scope, Microseconds patience) {
    const std::string child = child_of(scope);
    if (const auto written = base::write_cgroup_file(child, "cgroup.freeze", "1"); !written)
        return std::unexpected{written.error()};
    const auto directory = base::cgroup_directory(child);
    if (!directory)
        return std::unexpected{directory.error()};
    const base::UniqueFd events{
        ::open((*directory + "/cgroup.events").c_str(), O_RDONLY | O_CLOEXEC)};
    if (!events)
        return fail(errno, "opening " + *directory + "/cgroup.events");
    const BootTime until = base::read_boot_time() + patience;
    while (true) {
        // The notification can be 10 ms late, so the file itself is read again every millisecond.
        const auto text = base::read_cgroup_file(child, "cgroup.events");
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
    const auto controllers = base::read_cgroup_file(scope, "cgroup.controllers");
    if (!controllers)
        return std::unexpected{controllers.error()};
    if (!base::has_part(*controllers, "pids", " \n"))
        return false;
    for (const char* child : {connection_child, work_child})
        if (const auto made = make_child(scope, child); !made)
            return std::unexpected{made.error()};
    bool given = false;
    for (int pass = 0; pass < seal_passes && !given; ++pass) {
        const auto parted = part(scope, carriers);
        if (!parted || !*parted)
            return parted;
        const auto written = base::write_cgroup_file(scope, "cgroup.subtree_control", "+pids");
        given = written.has_value();
        // Busy: something was started between the look and now.
        if (!given && written.error().code != EBUSY)
            return std::unexpected{written.error()};
    }
    if (!given)
        return false;
    const auto limited =
        base::write_cgroup_file(child_of(scope, connection_child), "pids.max", "0");
    if (!limited)
        return std::unexpected{limited.error()};
    // Another login of the user can have had PID 1 move one out of the scope.
    for (const pid_t pid : carriers)
        if (!base::is_in_cgroup(pid, child_of(scope, connection_child)))
            if (const auto moved = move(child_of(scope, connection_child), pid); !moved)
                return std::unexpected{moved.error()};
    return true;
}

Result<> thaw(const std::string& scope) {
    // As long as its children have a controller, nothing can be moved back into the scope.
    const auto taken = base::write_cgroup_file(scope, "cgroup.subtree_control", "-pids");
    if (!taken && base::is_missing(taken.error()))
        return {};
    const auto written =
        unless_missing(base::write_cgroup_file(child_of(scope), "cgroup.freeze", "0"));
    if (!written)
        return written;
    for (const char* child : lock_children) {
        if (const auto moved = move_back(scope, child); !moved && !base::is_missing(moved.error()))
            return moved;
        if (const auto removed = remove_child(scope, child); !removed)
            return removed;
    }
    return {};
}

Result<> kill_frozen(const std::string& scope) {
    const auto ended = base::end_frozen_cgroup(child_of(scope));
    const auto unsealed = unless_missing(
        base::write_cgroup_file(child_of(scope, connection_child), "pids.max", "max"));
    return ended ? unsealed : ended;
}

Result<> kill_held(const std::string& scope) {
    return unless_missing(base::write_cgroup_file(child_of(scope), "cgroup.kill", "1"));
}

Result<> kill_scope(const std::string& scope) {
    return unless_missing(base::write_cgroup_file(scope, "cgroup.kill", "1"));
}

bool is_gone(const std::string& scope) {
    const auto text = base::read_cgroup_file(scope, "cgroup.events");
    return text ? has_line(*text, "populated 0") : base::is_missing(text.error());
}

bool is_frozen(const std::string& scope) {
    // The wish, not cgroup.events: with one process in state D the rest stands still all the same.
    const auto text = base::read_cgroup_file(child_of(scope), "cgroup.freeze");
    return text && has_line(*text, "1");
}

Result<std::vector<std::string>> held_scopes() {
    const std::string root = base::cgroup_root();
    if (!base::has_cgroup2())
        return fail(ENOENT, "no cgroup v2 hierarchy at " + root);
    std::vector<std::string> scopes;
    find_held(root, {}, base::max_cgroup_depth, scopes);
    return scopes;
}

Result<> mark_thawed(const std::string& scope, BootTime when) {
    const auto directory = base::cgroup_directory(scope);
    if (!directory)
        return std::unexpected{directory.error()};
    const std::string value = std::to_string(when.time_since_epoch().count());
    if (::setxattr(directory->c_str(), thawed_mark, value.data(), value.size(), 0) < 0)
        return fail(errno, "marking " + *directory);
    return {};
}

std::optional<BootTime> thawed_by_hand(const std::string& scope) {
    const auto directory = base::cgroup_directory(scope);
    char value[32];
    const ssize_t size =
        directory ? ::getxattr(directory->c_str(), thawed_mark, value, sizeof value) : -1;
    std::int64_t when = 0;
    if (size <= 0 || std::from_chars(value, value + size, when).ec != std::errc{})
        return std::nullopt;
    return BootTime{Microseconds{when}};
}

bool is_at_rest(const std::string& scope) {
    const auto text = base::read_cgroup_file(child_of(scope), "cgroup.events");
    return text && has_line(*text, "frozen 1");
}

std::vector<std::string> user_units(uid_t user, std::size_t most) {
    const std::string number = std::to_string(user);
    std::vector<std::string> units;
    find_units("/user.slice/user-" + number + ".slice/user@" + number + ".service",
               base::max_cgroup_depth, most, units);
    return units;
}

} // namespace vigil::enforce
