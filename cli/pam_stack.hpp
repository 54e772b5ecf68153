#pragma once
// What the files of a PAM stack say (pam.conf(5)), and whether vigil stands in it where it has to.
// Texts in, texts out.

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vigil::cli {

struct StackLine {
    bool includes = false; ///< another file: `include`, `substack`, @include
    bool may_miss = false; ///< "-auth": PAM goes on without a module that is not there
    std::string name;      ///< of the module, or of the file
    std::string arguments; ///< of the module

    bool operator==(const StackLine&) const = default;
};

/// Where PAM looks for a stack, in its order.
inline constexpr std::array stack_folders{"/etc/pam.d/", "/usr/lib/pam.d/"};
/// PAM goes no deeper, and fails.
inline constexpr std::size_t deepest_stack = 16;
inline constexpr std::size_t most_stack_files = 100;

/// Its lines of this type ("auth").
std::vector<StackLine> stack_lines(std::string_view text, std::string_view type);

bool is_vigils(const StackLine& line) noexcept;

/// What is wrong with the session lines of a service that people log in by, all files put together;
/// nullopt: nothing. The reservation comes before pam_systemd makes the session that is counted,
/// and what is registered is the session that it has made.
std::optional<std::string> wrong_in_session(const std::vector<StackLine>& lines);

} // namespace vigil::cli
