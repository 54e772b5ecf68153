#include "cli/host_checks.hpp"

#include "base/cgroup.hpp"
#include "base/process.hpp"
#include "cli/login_check.hpp"
#include "cli/pam_stack.hpp"
#include "cli/sshd.hpp"
#include "cli/wiring_checks.hpp"
#include "rescue/thaw.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <map>
#include <optional>

#include <sys/stat.h>
#include <unistd.h>

namespace vigil::cli {

namespace {

namespace fs = std::filesystem;

constexpr const char* unified = "systemd.unified_cgroup_hierarchy=1 on the kernel's command line";
constexpr const char* tiocsti_switch = "/proc/sys/dev/tty/legacy_tiocsti";
constexpr const char* ptrace_switch = "/proc/sys/kernel/yama/ptrace_scope";
constexpr const char* all_users = "/user.slice";
constexpr const char* stack_check = "unlock stack";
constexpr const char* unlock_stack = "vigil-unlock";
constexpr const char* lock_program = "/usr/libexec/vigil/vigil-lock";
/// Where Debian's package has it, and who builds it himself.
constexpr std::array mosh_servers{"/usr/bin/mosh-server", "/usr/local/bin/mosh-server"};
/// Scopes that are named; more are counted.
constexpr std::size_t most_named = 5;

Finding no_cgroup2(const char* check) {
    return not_looked_at(check, "there is no cgroup v2");
}

Finding look_at_cgroups() {
    const std::string root = base::cgroup_root();
    if (!base::has_cgroup2())
        return {"cgroup v2", Grade::failure, "it is not mounted, so no session can be held still",
                unified};
    if (root != "/sys/fs/cgroup")
        return {"cgroup v2", Grade::warning,
                "it is at " + root + ", beside v1, which keeps the pids controller", unified};
    return {"cgroup v2", Grade::ok, "the one hierarchy, at " + root};
}

Finding look_at_freezer() {
    constexpr const char* check = "freezer";
    if (!base::has_cgroup2())
        return no_cgroup2(check);
    // The root cgroup has none itself, and every host has this one.
    const auto folder = base::cgroup_root() + std::string{"/system.slice"};
    if (::access((folder + "/cgroup.freeze").c_str(), F_OK) == 0)
        return {check, Grade::ok, "the kernel can hold a cgroup still (cgroup.freeze)"};
    if (errno != ENOENT || ::access(folder.c_str(), F_OK) != 0)
        return not_looked_at(check, folder + ": " + std::strerror(errno));
    return {check, Grade::failure, "the kernel cannot hold a cgroup still: no cgroup.freeze",
            "Linux 5.2 or newer"};
}

Finding look_at_pids() {
    constexpr const char* check = "pids";
    if (!base::has_cgroup2())
        return no_cgroup2(check);
    const auto controllers =
        base::read_small_file(base::cgroup_root() + std::string{"/cgroup.controllers"});
    if (!controllers)
        return not_looked_at(check, controllers.error().text());
    if (base::has_part(*controllers, "pids", " \n"))
        return {check, Grade::ok,
                "a locked session's connection can be kept from starting anything"};
    return {check, Grade::warning,
            "no pids controller: a command over a connection from before the lock runs, without a "
            "terminal",
            "a kernel with CONFIG_CGROUP_PIDS, without cgroup_disable=pids; in a container, its "
            "manager's"};
}

/// As systemd.unit(5) has it: by their names, whatever folder they are in; of one name the first
/// counts, and one that leads to /dev/null is none.
std::map<std::string, std::string> scope_drop_ins() {
    std::map<std::string, std::string> files;
    for (const char* kind : {"session-.scope.d", "scope.d"})
        for (const char* folder : {"/etc/systemd/system", "/run/systemd/system",
                                   "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"}) {
            std::error_code error;
            fs::directory_iterator entries{fs::path{folder} / kind, error};
            for (; !error && entries != fs::directory_iterator{}; entries.increment(error))
                if (entries->path().extension() == ".conf")
                    files.emplace(entries->path().filename(), entries->path());
        }
    return files;
}

Finding look_at_drop_in() {
    constexpr const char* check = "drop-in";
    bool said = false;
    std::string by;
    for (const auto& [name, path] : scope_drop_ins()) {
        const auto text = base::read_small_file(path);
        if (!text)
            return not_looked_at(check, text.error().text());
        if (const auto says = delegate_in(*text)) {
            said = *says;
            by = path;
        }
    }
    if (said)
        return {check, Grade::ok, "new sessions' scopes are left to vigil, by " + by};
    return {check, Grade::failure,
            "PID 1 keeps a hand on new sessions' scopes and may undo a lock: " +
                (by.empty() ? "no session-.scope.d has Delegate=yes" : by + " has Delegate=no"),
            "put /usr/lib/systemd/system/session-.scope.d/50-vigil.conf back, then systemctl "
            "daemon-reload"};
}

/// logind's sessions, "3", by whether their scopes are delegated.
struct Scopes {
    std::size_t delegated = 0;
    std::vector<std::string> others;
};

/// A user who leaves meanwhile has no more sessions.
Scopes look_through_scopes(const std::string& root) {
    Scopes scopes;
    using Names = std::vector<std::string>;
    for (const auto& user : base::folders_in(root + all_users).value_or(Names{}))
        for (const auto& unit : base::folders_in(root + all_users + "/" + user).value_or(Names{})) {
            const auto scope = std::string{all_users} + "/" + user + "/" + unit;
            const auto session = rescue::logind_session_in(scope);
            if (session.empty())
                continue;
            if (base::is_delegated(scope))
                ++scopes.delegated;
            else
                scopes.others.push_back(session);
        }
    std::ranges::sort(scopes.others);
    return scopes;
}

Finding look_at_scopes() {
    constexpr const char* check = "scopes";
    if (!base::has_cgroup2())
        return no_cgroup2(check);
    const std::string root = base::cgroup_root();
    // Nobody has logged in yet where it is not there.
    if (::access((root + all_users).c_str(), R_OK | X_OK) < 0 && errno != ENOENT)
        return not_looked_at(check, root + all_users + ": " + std::strerror(errno));
    const auto scopes = look_through_scopes(root);
    if (scopes.others.empty())
        return {check, Grade::ok,
                scopes.delegated == 0
                    ? "no session is open"
                    : "PID 1 leaves those of all " + std::to_string(scopes.delegated) +
                          " open sessions to vigil"};
    std::string names;
    for (std::size_t i = 0; i < std::min(scopes.others.size(), most_named); ++i)
        names += (i == 0 ? "" : ", ") + scopes.others[i];
    if (scopes.others.size() > most_named)
        names += " and " + std::to_string(scopes.others.size() - most_named) + " more";
    const bool one = scopes.others.size() == 1;
    return {check, Grade::warning,
            "PID 1 may undo a lock of logind's session" + std::string{one ? " " : "s "} + names +
                (one ? ": it" : ": they") + " began without the drop-in",
            "systemctl daemon-reload, then loginctl terminate-session " + scopes.others.front() +
                " and log in anew"};
}

Finding look_at_tiocsti() {
    constexpr const char* check = "tiocsti";
    const auto text = base::read_small_file(tiocsti_switch);
    if (!text && text.error().code == ENOENT)
        return {check, Grade::warning,
                "the kernel has no switch against typing into other programs' terminals",
                "Linux 6.2 or newer"};
    if (!text)
        return not_looked_at(check, text.error().text());
    if (text->starts_with('0'))
        return {check, Grade::ok, "no program types into a terminal (dev.tty.legacy_tiocsti = 0)"};
    return {check, Grade::warning,
            "a program can type into its terminal, and who reads there next runs it "
            "(dev.tty.legacy_tiocsti = 1)",
            "sysctl -w dev.tty.legacy_tiocsti=0"};
}

Finding look_at_ptrace() {
    constexpr const char* check = "ptrace";
    const auto text = base::read_small_file(ptrace_switch);
    if (!text && text.error().code == ENOENT)
        return {check, Grade::warning,
                "a program can take over others of its user's: the kernel has no Yama",
                "a kernel with CONFIG_SECURITY_YAMA"};
    if (!text)
        return not_looked_at(check, text.error().text());
    if (!text->starts_with('0'))
        return {check, Grade::ok, "no program takes over others of its user's (ptrace_scope)"};
    return {check, Grade::warning,
            "a program can take over others of its user's, with all that they may "
            "(kernel.yama.ptrace_scope = 0)",
            "sysctl -w kernel.yama.ptrace_scope=1"};
}

/// What is wrong with a file that root runs, or that says what root runs; nullopt: nothing.
std::optional<Finding> look_at_file(const char* check, const std::string& path,
                                    const struct stat& file, const char* mode) {
    if (!S_ISREG(file.st_mode))
        return Finding{check, Grade::failure, path + " is no file",
                       "take it away and install " + path + " anew"};
    if (file.st_uid != 0 || (file.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return Finding{check, Grade::failure, path + " can be written by others than root",
                       "chown root: " + path + " && chmod " + mode + " " + path};
    return std::nullopt;
}

struct FoundFile {
    std::string path;
    struct stat file{};
    int error = 0; ///< ENOENT: it is in no folder, and `path` is where it belongs
};

/// As PAM looks for it.
FoundFile find_stack_file(const std::string& name) {
    if (name.starts_with('/')) {
        FoundFile found{name};
        found.error = ::stat(name.c_str(), &found.file) < 0 ? errno : 0;
        return found;
    }
    for (const char* folder : stack_folders) {
        FoundFile found{folder + name};
        if (::stat(found.path.c_str(), &found.file) == 0)
            return found;
        found.error = errno;
        if (found.error != ENOENT)
            return found;
    }
    return {.path = stack_folders.front() + name, .error = ENOENT};
}

/// A stack as far as it was read.
struct Stack {
    std::size_t files = 0;
    std::vector<std::string> modules;
};

Finding no_stack_file(const std::string& path, std::size_t depth) {
    if (depth == 0)
        return {stack_check, Grade::failure, path + " is not there: nobody can unlock his session",
                "install vigil's " + path + " anew; until then vigilctl unlock"};
    return {stack_check, Grade::failure,
            std::string{unlock_stack} + " includes " + path + ", which is not there",
            "put " + path + " there, or name another file"};
}

/// What is wrong with a file of it and those it includes; nullopt: nothing, and what they ask for
/// was added.
std::optional<Finding> read_stack_file(const std::string& name, Stack& stack, std::size_t depth) {
    if (depth > deepest_stack)
        return Finding{stack_check, Grade::failure,
                       std::string{unlock_stack} + " includes " + name + " over and over",
                       "take out the line that leads back to it"};
    if (++stack.files > most_stack_files)
        return not_looked_at(stack_check,
                             "it is in more than " + std::to_string(most_stack_files) + " files");
    const auto [path, status, error] = find_stack_file(name);
    if (error == ENOENT)
        return no_stack_file(path, depth);
    if (error != 0)
        return not_looked_at(stack_check, path + ": " + std::strerror(error));
    if (auto bad = look_at_file(stack_check, path, status, "644"))
        return bad;
    const auto text = base::read_small_file(path);
    if (!text)
        return not_looked_at(stack_check, text.error().text(), "sudo vigilctl doctor");
    for (auto& line : stack_lines(*text, "auth")) {
        if (!line.includes && !line.may_miss)
            stack.modules.push_back(std::move(line.name));
        if (!line.includes)
            continue;
        if (auto bad = read_stack_file(line.name, stack, depth + 1))
            return bad;
    }
    return std::nullopt;
}

Finding look_at_stack() {
    Stack stack;
    if (auto bad = read_stack_file(unlock_stack, stack, 0))
        return *std::move(bad);
    const std::string name = unlock_stack;
    if (stack.modules.empty())
        return {stack_check, Grade::failure, name + " asks for nothing: it has no auth line",
                "install vigil's " + (stack_folders.front() + name) + " anew"};
    for (const auto& module : stack.modules) {
        const auto path = module.starts_with('/') ? module : PAM_MODULES "/" + module;
        if (::access(path.c_str(), F_OK) < 0)
            return {stack_check, Grade::failure,
                    name + " needs " + path + ": " + std::strerror(errno),
                    "install " + module + ", or name another module there"};
    }
    return {stack_check, Grade::ok, name + " is there, and its modules are"};
}

Finding look_at_program() {
    constexpr const char* check = "vigil-lock";
    struct stat file{};
    const std::string path = lock_program;
    if (::stat(lock_program, &file) < 0)
        return errno == ENOENT ? Finding{check, Grade::failure,
                                         path + " is not there: nobody is asked under a lock",
                                         "install vigil anew"}
                               : not_looked_at(check, path + ": " + std::strerror(errno));
    if (auto bad = look_at_file(check, path, file, "755"))
        return *std::move(bad);
    if ((file.st_mode & S_IXUSR) == 0)
        return {check, Grade::failure, path + " is no program", "chmod 755 " + path};
    return {check, Grade::ok, path + " is there"};
}

/// By what is installed: a server that runs is of a session that is over, as any other job that
/// outlived its login.
Finding look_at_mosh() {
    constexpr const char* check = "mosh";
    for (const char* path : mosh_servers) {
        if (::access(path, F_OK) == 0)
            return {check, Grade::warning,
                    std::string{path} + " is there: who comes by mosh is in no session, so nothing "
                                        "locks him or ends his shell",
                    "remove mosh, or KillUserProcesses=yes in logind.conf, with which it cannot be "
                    "used; tmux over ssh is locked"};
        if (errno != ENOENT)
            return not_looked_at(check, std::string{path} + ": " + std::strerror(errno));
    }
    return {check, Grade::ok, "no mosh-server is there, which no lock would hold"};
}

Finding look_at_forwards() {
    constexpr const char* check = "forwards";
    const auto settings =
        sshd_settings_for(check, "no sshd is there, whose forwards no lock would hold");
    if (!settings)
        return settings.error();
    const auto allowed = forwards_in(*settings);
    if (!allowed) {
        const std::string asked = sshd_program().value_or("sshd") + " -T";
        return not_looked_at(check, asked + " does not say what it allows",
                             "see what is wrong: " + asked);
    }
    if (allowed->empty())
        return {check, Grade::ok, "sshd forwards no TCP and no UNIX sockets, Match blocks aside"};
    return {check, Grade::warning,
            "forwards of a locked connection go on, and its client can make new ones: sshd has " +
                joined(*allowed, ", ") + ", Match blocks aside",
            "cp /usr/share/vigil/examples/sshd-no-forwards.conf "
            "/etc/ssh/sshd_config.d/10-no-forwards.conf && systemctl reload sshd"};
}

/// Both names are there while a rekey is under way, and after one that was stopped.
Finding look_at_rekey() {
    constexpr const char* check = "rekey";
    const auto left = left_by_rekey();
    if (!left && left.error().code == EACCES)
        return not_looked_at(check, "the key's place is root's alone", "sudo vigilctl doctor");
    if (!left)
        return not_looked_at(check, left.error().text());
    if (!left->empty())
        return {check, Grade::warning, *left, "vigilctl rekey, which does it anew"};
    return {check, Grade::ok, "no rekey has left anything behind"};
}

constexpr std::array checks{
    look_at_pam,    look_at_sshd,     look_at_sudo,          look_at_way_back, look_at_key,
    look_at_clock,  look_at_cgroups,  look_at_freezer,       look_at_pids,     look_at_drop_in,
    look_at_scopes, look_at_tiocsti,  look_at_ptrace,        look_at_stack,    look_at_program,
    look_at_mosh,   look_at_forwards, look_at_login_factors, look_at_rekey};

} // namespace

Result<std::string> left_by_rekey() {
    if (::access("/etc/credstore.encrypted", R_OK | X_OK) < 0 && errno != ENOENT)
        return fail(errno, "/etc/credstore.encrypted");
    for (const char* name : {"vigil.key", "vigil.key.2"}) {
        if (::access((std::string{"/etc/credstore.encrypted/"} + name).c_str(), F_OK) == 0)
            continue;
        if (errno != ENOENT)
            return fail(errno, std::string{"/etc/credstore.encrypted/"} + name);
        return std::string{};
    }
    return std::string{"a rekey was not finished: vigil.key and vigil.key.2 are both there"};
}

std::vector<Finding> check_host() {
    std::vector<Finding> findings;
    for (const auto check : checks)
        findings.push_back(check());
    return findings;
}

} // namespace vigil::cli
