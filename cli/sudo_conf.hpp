#pragma once
// vigil's lines in sudo.conf(5), between two marks. Texts in, texts out.

#include <string>
#include <string_view>

namespace vigil::cli {

inline constexpr std::string_view sudo_conf_begin =
    "# vigil: begin. `vigilctl sudo disable` takes these lines away.\n";
inline constexpr std::string_view sudo_conf_line = "Plugin vigil_approval vigil_approval.so";
/// Behind the line: sudo goes on where vigild cannot be asked.
inline constexpr std::string_view sudo_conf_allow = " unavailable=allow";
inline constexpr std::string_view sudo_conf_end = "# vigil: end.\n";

enum class SudoConf {
    without, ///< nothing of vigil's
    with,    ///< its lines, as they were written
    changed, ///< its marks, and something else than its line between them
    by_hand, ///< a line that loads its plugin, outside of the marks
};

SudoConf state_of_sudo_conf(std::string_view text);

/// Where vigild cannot be asked, for others than root.
enum class Unavailable { deny, allow };

/// In front, so that whatever stands there stays as it is to the byte. Of a text without.
std::string with_vigil(std::string_view text, Unavailable unavailable = Unavailable::deny);

/// What with_vigil() was given. Of a text with.
std::string without_vigil(std::string_view text);

} // namespace vigil::cli
