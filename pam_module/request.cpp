#include "pam_module/request.hpp"

#include "base/accounts.hpp"
#include "base/console.hpp"
#include "base/process.hpp"
#include "pam_module/conversation.hpp"
#include "wire/names.hpp"

#include <algorithm>

#include <pwd.h>
#include <security/pam_modutil.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

namespace vigil::pam {

namespace {

/// Stands for a text that is there but cannot be what it should be. It is no address, no name of a
/// terminal and not empty, so no rule takes it for a local or a well-known one.
constexpr const char* unfit = "?";

std::string text_item(pam_handle_t* pam, int item) {
    const void* value = nullptr;
    if (pam_get_item(pam, item, &value) != PAM_SUCCESS || !value)
        return {};
    return static_cast<const char*>(value);
}

/// Host and terminal may come from far away: one that the bus would not carry must not make the
/// whole request fail, because on the login path that would mean no limits.
std::string fit(std::string text, std::size_t most) {
    const auto is_plain = [](char c) { return c > ' ' && c < 0x7F; };
    if (text.size() > most || !std::ranges::all_of(text, is_plain))
        return unfit;
    return text;
}

bool is_same_program(pid_t pid) {
    struct stat mine{};
    struct stat theirs{};
    return ::stat("/proc/self/exe", &mine) == 0 &&
           ::stat(("/proc/" + std::to_string(pid) + "/exe").c_str(), &theirs) == 0 &&
           mine.st_dev == theirs.st_dev && mine.st_ino == theirs.st_ino;
}

/// With keyboard-interactive sshd calls account in a child it forked; the leader is the child's
/// session's first process, sshd's monitor. Run by hand (sshd -d) sshd has no session of its own,
/// and that process is somebody's shell: hence the look at the program.
pid_t leader_of(std::string_view service) {
    const pid_t session = getsid(0);
    const bool is_monitor = service == "sshd" && session > 0 && is_same_program(session);
    return is_monitor ? session : getpid();
}

} // namespace

Service classify(std::string_view service) noexcept {
    static constexpr std::array<std::string_view, 6> untouched{
        "cron", "crond", "atd", "systemd-user", "runuser", "runuser-l"};
    static constexpr std::array<std::string_view, 6> step_up{"sudo", "sudo-i",   "su",
                                                             "su-l", "polkit-1", "doas"};
    if (service == wire::unlock_stack)
        return Service::unlock;
    if (std::ranges::find(untouched, service) != untouched.end())
        return Service::untouched;
    if (std::ranges::find(step_up, service) != step_up.end())
        return Service::step_up;
    return Service::login;
}

std::string service_name(pam_handle_t* pam) {
    return text_item(pam, PAM_SERVICE);
}

std::expected<User, Outcome> find_user(pam_handle_t* pam) {
    std::string name = text_item(pam, PAM_USER);
    if (name.empty() || name.size() > wire::max_user_bytes)
        return std::unexpected{Outcome::unknown_user};
    const auto account = base::find_account(name);
    // Without his number nobody can tell whether he is blocked, and that is refused in any case.
    if (!account)
        log(pam, LOG_ERR, "the user database cannot be asked: " + account.error().text());
    if (!account || !*account)
        return std::unexpected{Outcome::unknown_user};
    return User{.name = std::move(name), .uid = (*account)->uid, .group = (*account)->group};
}

wire::Login describe_login(pam_handle_t* pam, const User& user) {
    std::string terminal = text_item(pam, PAM_TTY);
    if (terminal.starts_with("/dev/"))
        terminal.erase(0, 5);
    return wire::Login{.user = user.name,
                       .uid = user.uid,
                       .groups = {},
                       .service = fit(service_name(pam), wire::max_service_bytes),
                       .terminal = fit(std::move(terminal), wire::max_terminal_bytes),
                       .remote_host = fit(text_item(pam, PAM_RHOST), wire::max_host_bytes)};
}

Result<wire::Login> gather_login(pam_handle_t* pam, const User& user) {
    auto groups = base::group_names(user.name, user.group, wire::max_groups);
    if (!groups)
        return std::unexpected{groups.error()};
    auto login = describe_login(pam, user);
    login.groups = std::move(*groups);
    return login;
}

std::string caller_name(pam_handle_t* pam) {
    const passwd* const account = pam_modutil_getpwuid(pam, getuid());
    return account ? account->pw_name : "uid " + std::to_string(getuid());
}

bool is_root_at_console(pam_handle_t* pam) {
    const auto user = find_user(pam);
    if (!user || user->uid != 0 || getuid() != 0 || !text_item(pam, PAM_RHOST).empty())
        return false;
    const auto stat = base::read_process_stat(getpid());
    return stat && base::is_console(stat->terminal);
}

Result<base::UniqueFd> open_leader(std::string_view service) {
    return base::open_pidfd(leader_of(service));
}

bool is_apart_from_leader(std::string_view service) {
    return leader_of(service) != getpid();
}

Result<base::UniqueFd> open_self() {
    return base::open_pidfd(getpid());
}

} // namespace vigil::pam
