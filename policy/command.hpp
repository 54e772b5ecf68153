#pragma once
// What sudo runs, and the policy's patterns for it. Pure: paths are compared, and never looked up.
// The language is in vigil-policy(5), under COMMANDS.

#include "base/error.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vigil::policy {

/// A command as sudo's approval plugin has it (sudo_plugin(5): command_info, run_argv).
struct Command {
    /// Where the program is, with every link followed; "" for sudoedit.
    std::string path;
    /// As sudo runs it: `path`, or a link to it.
    std::string named;
    /// `named` with the links of its folder followed, and where it is a link itself not that.
    std::string link;
    /// Without argv[0]. Of sudoedit the files, absolute, with the links of their folders followed.
    std::vector<std::string> arguments;
    /// sudoedit: an editor that runs as the user himself, and files that are written for him.
    bool edits = false;
    /// Nobody but root can have `named` lead elsewhere between the decision and the start.
    bool settled = false;
    /// Not all arguments are there: there were more than a message carries.
    bool cut = false;

    bool operator==(const Command&) const = default;
};

struct CommandPattern {
    std::string path;                   ///< an absolute glob (base/glob.hpp); "" for sudoedit
    std::vector<std::string> arguments; ///< a glob each
    bool more = false; ///< any arguments may follow; with sudoedit, any files may be edited

    bool operator==(const CommandPattern&) const = default;
};

inline constexpr std::size_t max_pattern_words = 64;

/// `/usr/bin/systemctl restart app.service`: split at spaces.
Result<CommandPattern> read_command(std::string_view text);

/// The same in words, which may have spaces in them.
Result<CommandPattern> read_command(std::span<const std::string_view> words);

/// How sure one has to be, where it is not known what will run.
enum class InDoubt {
    matches,        ///< for a rule that asks for a proof: one way to see it is enough
    does_not_match, ///< for a rule that asks for nothing: it must be so in every way
};

/// Is it one of these? nullopt: not known, as where PAM asks.
bool any_matches(const std::vector<CommandPattern>& patterns, const std::optional<Command>& command,
                 InDoubt in_doubt) noexcept;

} // namespace vigil::policy
