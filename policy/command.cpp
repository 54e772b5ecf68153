#include "policy/command.hpp"

#include "base/glob.hpp"
#include "policy/scalars.hpp"

#include <algorithm>

namespace vigil::policy {

namespace {

constexpr std::string_view edit_word = "sudoedit";
constexpr std::string_view more_word = "...";
/// What a shell would make something of. Nothing is made of it here, so who writes it in a text
/// means something else than he would get; in a list of words it stands for itself.
constexpr std::string_view shell_characters = "\"'\\$`[]";

/// Absolute, and written as the kernel would write it.
Result<> check_path(std::string_view path) {
    if (!path.starts_with('/'))
        return fail(quote(path) + " does not begin with /; say where it is");
    if (path.ends_with('/'))
        return fail(quote(path) + " is a folder; name what is in it, as /usr/local/sbin/*");
    const std::string whole = std::string{path} + "/";
    for (const std::string_view part : {"//", "/./", "/../"})
        if (whole.find(part) != std::string::npos)
            return fail(quote(path) + " has " + std::string{part} +
                        " in it, and nothing is ever found by such a name; say it without");
    return {};
}

Result<CommandPattern> read_edit(std::span<const std::string_view> files) {
    CommandPattern pattern{.path = {}, .arguments = {}, .more = files.empty()};
    for (const std::string_view file : files) {
        if (const auto checked = check_path(file); !checked)
            return std::unexpected{checked.error()};
        pattern.arguments.emplace_back(file);
    }
    return pattern;
}

bool arguments_match(const CommandPattern& pattern, const Command& command,
                     InDoubt in_doubt) noexcept {
    const auto& globs = pattern.arguments;
    const std::size_t there = std::min(globs.size(), command.arguments.size());
    for (std::size_t i = 0; i < there; ++i)
        if (!base::glob_matches(globs[i], command.arguments[i]))
            return false;
    if (command.cut && there < globs.size())
        return in_doubt == InDoubt::matches;
    return there == globs.size() &&
           (pattern.more || (there == command.arguments.size() && !command.cut));
}

std::string_view last_name(std::string_view path) noexcept {
    return path.substr(path.rfind('/') + 1);
}

/// Of the paths that lead to it. Some programs do as their name says: systemctl by its link reboot.
bool path_matches(const CommandPattern& pattern, const Command& command,
                  InDoubt in_doubt) noexcept {
    if (base::glob_matches(pattern.path, command.path))
        return in_doubt == InDoubt::matches ||
               (command.settled && last_name(command.named) == last_name(command.path));
    return in_doubt == InDoubt::matches && (base::glob_matches(pattern.path, command.named) ||
                                            base::glob_matches(pattern.path, command.link));
}

bool is_edit(const CommandPattern& pattern) noexcept {
    return pattern.path.empty();
}

bool edits_match(const std::vector<CommandPattern>& patterns, const Command& command,
                 InDoubt in_doubt) noexcept {
    const auto names = [](const CommandPattern& pattern, const std::string& file) {
        return is_edit(pattern) &&
               (pattern.more || std::ranges::any_of(pattern.arguments, [&](const auto& glob) {
                    return base::glob_matches(glob, file);
                }));
    };
    const auto is_named = [&](const std::string& file) {
        return std::ranges::any_of(patterns,
                                   [&](const auto& pattern) { return names(pattern, file); });
    };
    if (in_doubt == InDoubt::matches)
        return (command.cut && std::ranges::any_of(patterns, is_edit)) ||
               std::ranges::any_of(command.arguments, is_named);
    return !command.cut && !command.arguments.empty() &&
           std::ranges::all_of(command.arguments, is_named);
}

} // namespace

Result<CommandPattern> read_command(std::span<const std::string_view> words) {
    if (words.empty() || words.front().empty())
        return fail("an empty command; take it out");
    if (words.size() > max_pattern_words)
        return fail(quote(words.front()) + " has more than " + std::to_string(max_pattern_words) +
                    " words; end it with " + std::string{more_word} + " instead");
    const auto arguments = words.subspan(1);
    if (words.front() == edit_word)
        return read_edit(arguments);
    if (const auto checked = check_path(words.front()); !checked)
        return std::unexpected{checked.error()};
    CommandPattern pattern{
        .path = std::string{words.front()}, .arguments = {}, .more = arguments.empty()};
    for (const std::string_view word : arguments) {
        if (pattern.more)
            return fail(std::string{more_word} + " is any further arguments; put it at the end");
        pattern.more = word == more_word;
        if (!pattern.more)
            pattern.arguments.emplace_back(word);
    }
    return pattern;
}

Result<CommandPattern> read_command(std::string_view text) {
    // As sudoers(5) says it: without any argument.
    constexpr std::string_view none = " \"\"";
    const bool without = text.ends_with(none);
    std::string_view rest = text.substr(0, text.size() - (without ? none.size() : 0));
    if (const auto found = rest.find_first_of(shell_characters); found != std::string_view::npos)
        return fail(quote(text) + " has a " + std::string{rest[found]} +
                    ", and no shell reads this; say the words as a list, where each stands for "
                    "itself but for * and ?");
    std::vector<std::string_view> words;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        if (end > 0)
            words.push_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    auto pattern = read_command(words);
    if (pattern && without) {
        if (words.size() > 1 || is_edit(*pattern))
            return fail(quote(text) + " has more than a path in front of \"\", which stands for "
                                      "no argument at all; take one of both out");
        pattern->more = false;
    }
    return pattern;
}

bool any_matches(const std::vector<CommandPattern>& patterns, const std::optional<Command>& command,
                 InDoubt in_doubt) noexcept {
    if (!command)
        return in_doubt == InDoubt::matches;
    if (command->edits)
        return edits_match(patterns, *command, in_doubt);
    return std::ranges::any_of(patterns, [&](const CommandPattern& pattern) {
        return !is_edit(pattern) && path_matches(pattern, *command, in_doubt) &&
               arguments_match(pattern, *command, in_doubt);
    });
}

} // namespace vigil::policy
