#include "sudo_plugin/command.hpp"

#include "base/accounts.hpp"
#include "sudo_plugin/environment.hpp"
#include "sudo_plugin/lists.hpp"
#include "wire/names.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <span>

namespace vigil::sudo {

namespace {

std::string absolute(std::string_view path, const std::string& directory) {
    return path.starts_with('/') ? std::string{path} : directory + "/" + std::string{path};
}

/// What a message cannot carry: of paths the kernel itself takes none so long.
bool fits(const std::string& path) {
    return path.size() <= wire::max_path_bytes;
}

void add_arguments(std::span<const std::string_view> arguments, wire::Command& command) {
    std::size_t left = wire::max_arguments_bytes;
    for (const std::string_view argument : arguments) {
        if (command.arguments.size() == wire::max_arguments || argument.size() > left) {
            command.cut = true;
            return;
        }
        left -= argument.size();
        command.arguments.emplace_back(argument);
    }
}

/// The links of a file's folder are followed; one that the file itself is stays. nullopt: not
/// known.
std::optional<std::string> in_its_folder(Walker& walker, const std::string& whole, bool& settled) {
    const std::size_t slash = whole.rfind('/');
    const auto folder = walker.to(whole.substr(0, slash + 1));
    if (!folder)
        return std::nullopt;
    settled = settled && folder->settled;
    return (folder->path == "/" ? "" : folder->path) + whole.substr(slash);
}

wire::Command program_of(const Told& told, std::span<const std::string_view> argv,
                         const std::string& directory) {
    wire::Command command;
    command.named = absolute(value_of(told.command_info, "command").value_or(""), directory);
    Walker walker;
    const auto chroot = value_of(told.command_info, "chroot");
    Walker in_chroot{std::string{chroot.value_or("/")}};
    Walker& below = chroot ? in_chroot : walker;
    const auto walked = below.to(command.named);
    bool settled = true; // as the whole way is
    auto link = in_its_folder(below, command.named, settled);
    if (!walked || !link || !fits(walked->path) || !fits(command.named) || !fits(*link))
        return {}; // not known
    command.path = walked->path;
    command.link = std::move(*link);
    command.settled = walked->settled && is_roots_environment(told, walker);
    add_arguments(argv.empty() ? argv : argv.subspan(1), command);
    return command;
}

/// run_argv is the editor's: its own words, `--`, and the files. How many these are sudo says since
/// 1.9.13.
std::span<const std::string_view> files_of(char* const* command_info,
                                           std::span<const std::string_view> argv) {
    if (const auto count = number_of<std::size_t>(command_info, "sudoedit_nfiles"))
        return argv.last(std::min(*count, argv.size()));
    const auto mark = std::ranges::find(argv, "--");
    return argv.subspan(static_cast<std::size_t>(
        std::min(mark - argv.begin() + 1, static_cast<std::ptrdiff_t>(argv.size()))));
}

/// Of a file that cannot be looked at nothing is known: it may be any.
wire::Command edit_of(char* const* command_info, std::span<const std::string_view> argv,
                      const std::string& directory) {
    const bool follows = is_true(command_info, "sudoedit_follow");
    const auto given = files_of(command_info, argv);
    wire::Command command{.path = {},
                          .named = {},
                          .link = {},
                          .arguments = {},
                          .edits = true,
                          .settled = !follows,
                          .cut = given.empty()};
    Walker walker;
    std::vector<std::string> files;
    for (const std::string_view file : given) {
        const std::string whole = absolute(file, directory);
        // By default sudo does not edit behind a link, and its name is what was asked for.
        if (auto named = in_its_folder(walker, whole, command.settled))
            files.push_back(std::move(*named));
        else
            command.cut = true;
        if (!follows) // sudoers(5): sudoedit_follow
            continue;
        if (auto led_to = walker.to(whole))
            files.push_back(std::move(led_to->path));
        else
            command.cut = true;
    }
    const std::vector<std::string_view> views{files.begin(), files.end()};
    add_arguments(views, command);
    return command;
}

} // namespace

wire::Command command_of(const Told& told, const std::string& directory) {
    const auto argv = texts_of(told.argv);
    // Of a program that a command started (sudoers(5): intercept) it is where that one is.
    const auto own = value_of(told.command_info, "runcwd");
    const std::string usual{value_of(told.command_info, "cwd").value_or(directory)};
    const bool edits = is_true(told.command_info, "sudoedit");
    const std::string where = edits ? directory : own ? std::string{*own} : usual;
    auto command = edits ? edit_of(told.command_info, argv, where) : program_of(told, argv, where);
    command.directory = where.substr(0, wire::max_path_bytes);
    return command;
}

Result<std::string> run_as_of(char* const* command_info) {
    const auto uid = number_of<uid_t>(command_info, "runas_uid");
    const auto gid = number_of<gid_t>(command_info, "runas_gid");
    if (!uid || !gid || *uid == static_cast<uid_t>(-1))
        return fail(EINVAL, "sudo does not say whom the command runs as");
    const auto account = base::find_account(*uid);
    if (!account)
        return std::unexpected{account.error()};
    if (!*account)
        return "#" + std::to_string(*uid);
    return (*account)->group == *gid ? (*account)->name : std::string{};
}

} // namespace vigil::sudo
