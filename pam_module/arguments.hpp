#pragma once
// What the program that asks was told on its command line.

#include <string_view>

namespace vigil::pam {

/// Whether an option -n is among the words: as getopt(3) reads them, up to the first that is no
/// option or `--`. `words`: each with its NUL (proc(5): cmdline), the program's name first.
/// `with_value`: the options whose value may be the next word. `long_name`: its other name, "" if
/// there is none.
bool has_option_n(std::string_view words, std::string_view with_value,
                  std::string_view long_name) noexcept;

/// Whether it is to ask nobody: -n of doas(1) and sudo(8). doas without a password to ask for calls
/// the conversation all the same. No, where that cannot be known.
bool is_to_ask_nobody(std::string_view service);

} // namespace vigil::pam
