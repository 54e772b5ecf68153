#pragma once
// LockInfo and a size -> what is written to the terminal. Pure. Of the terminal's kind only
// that is known whether it is dumb, so nothing is used that any other could take amiss. There are
// no colours (no-color.org has nothing to ask for); the bars of a lock console are reversed.

#include "base/time.hpp"
#include "wire/messages.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace vigil::terminal {

struct Size {
    unsigned columns = 80;
    unsigned rows = 24;

    bool operator==(const Size&) const = default;
};

struct View {
    wire::LockInfo info;
    std::string message;       ///< of the last answer, or of vigild's state; may be from outside
    bool asking = true;        ///< false: no answer is taken now, so no prompt is shown
    bool lock_console = false; ///< switching is held here, so there is a key for somebody else
    WallTime now{};
    Seconds utc_offset{};
};

/// Enters the alternate screen and clears it.
inline constexpr std::string_view enter_screen = "\x1B[?1049h";

/// "Ends at 18:00, in 2 h 10 min."; "" where no end is known. It is another each minute.
/// `ends_at`: as LockInfo has it.
std::string end_line(std::uint64_t ends_at, WallTime now, Seconds utc_offset);

/// The whole screen, prompt last, so that the cursor stays behind it. In a window too small for all
/// of it the prompt and the message are kept.
std::string draw(const View& view, Size size);

/// The same for a terminal that takes no escape sequences: lines below what stands there, which is
/// scrolled out of the window first. Those that were shown last, in `shown`, are not said again.
std::string draw_plain(const View& view, Size size, std::vector<std::string>& shown);

/// "Password or code:", "Code:" … as `factors` has it; "" if nothing is taken.
std::string prompt_for(const std::vector<std::string>& factors);

/// Breaks at spaces; words longer than a line are broken anywhere but inside a character.
std::vector<std::string> wrap(std::string_view text, std::size_t width);

} // namespace vigil::terminal
