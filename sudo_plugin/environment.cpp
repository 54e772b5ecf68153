#include "sudo_plugin/environment.hpp"

#include "base/accounts.hpp"
#include "sudo_plugin/lists.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

namespace vigil::sudo {

namespace {

/// Texts that programs show or compare, and files that hold data: sudo sets them, or keeps them by
/// default. The last four are a shell's, for what it starts under `intercept`.
constexpr std::array<std::string_view, 22> harmless{
    "COLORS",    "DISPLAY",      "HOSTNAME", "KRB5CCNAME", "LOGNAME",        "LS_COLORS",
    "MAIL",      "SUDO_COMMAND", "SUDO_GID", "SUDO_HOME",  "SUDO_TTY",       "SUDO_UID",
    "SUDO_USER", "USER",         "USERNAME", "XAUTHORITY", "XAUTHORIZATION", "XDG_CURRENT_DESKTOP",
    "SHLVL",     "PWD",          "OLDPWD",   "_"};
/// Names of things that libraries look up, so long as they are no paths (sudoers(5): env_check).
constexpr std::array<std::string_view, 6> names{"COLORTERM", "LANG", "LANGUAGE",
                                                "LINGUAS",   "TERM", "TZ"};
/// What sudo sets itself, to be asked about what a command starts.
constexpr std::string_view interceptor = SUDO_PLUGINS "/sudo_intercept.so";

template <std::size_t size>
bool is_one_of(const std::array<std::string_view, size>& list, std::string_view name) {
    return std::ranges::find(list, name) != list.end();
}

/// A folder that is not there can be made by whoever writes to the one it would be in.
bool is_roots_folder(Walker& walker, const std::string& path) {
    if (!path.starts_with('/'))
        return false;
    if (const auto walked = walker.to(path); walked || walked.error().code != ENOENT)
        return walked && walked->settled;
    return is_roots_folder(walker, path.substr(0, std::max<std::size_t>(path.rfind('/'), 1)));
}

bool are_roots_folders(Walker& walker, std::string_view path) {
    while (true) {
        const std::size_t end = std::min(path.find(':'), path.size());
        if (!is_roots_folder(walker, std::string{path.substr(0, end)}))
            return false;
        if (end == path.size())
            return true;
        path.remove_prefix(end + 1);
    }
}

/// Its own, or one that nobody but root writes to.
bool is_home_of_runner(const Told& told, Walker& walker, const std::string& home) {
    const auto uid = number_of<uid_t>(told.command_info, "runas_uid");
    const auto account = uid ? base::find_account(*uid) : std::nullopt;
    return (account && *account && (*account)->home == home) || is_roots_folder(walker, home);
}

bool is_fine(const Told& told, Walker& walker, std::string_view name, std::string_view value) {
    if (is_one_of(harmless, name))
        return true;
    if (is_one_of(names, name) || name.starts_with("LC_"))
        return value.find_first_of("/%") == std::string_view::npos;
    if (name == "PATH")
        return are_roots_folders(walker, value);
    if (name == "SHELL")
        return is_roots_folder(walker, std::string{value});
    if (name == "HOME")
        return is_home_of_runner(told, walker, std::string{value});
    if (name == "LD_PRELOAD")
        return value == interceptor;
    return name == "SUDO_INTERCEPT_FD";
}

} // namespace

bool is_roots_environment(const Told& told, Walker& walker) {
    return std::ranges::all_of(texts_of(told.environment), [&](std::string_view variable) {
        const std::size_t end = std::min(variable.find('='), variable.size());
        return is_fine(told, walker, variable.substr(0, end),
                       variable.substr(std::min(end + 1, variable.size())));
    });
}

} // namespace vigil::sudo
