#pragma once
// What the program that asks was told when it was started: its command line and its environment.

#include <string>
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

/// The value that a variable has in these words (proc(5): environ), the first of its name; "" for
/// none.
std::string_view variable_in(std::string_view words, std::string_view name) noexcept;

/// What the program's caller had set. sudo has the environment of its command in place of it by the
/// time it asks PAM (sudoers(5): env_reset).
std::string variable_at_start(std::string_view name);

} // namespace vigil::pam
