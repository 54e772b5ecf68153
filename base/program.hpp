#pragma once
// A program that is asked something, by a caller that waits no longer than it likes.

#include "base/error.hpp"
#include "base/time.hpp"

#include <string>
#include <vector>

namespace vigil::base {

/// What a program has to say, its errors too, when it is run with nothing to read and the usual
/// PATH for its environment; whole, and only where it ends with 0. `words` begin with its path.
/// Errors: what execve(2) gives, as ENOENT; without a number, that it failed, with the first line
/// it said, took too long, or said more than `limit` bytes. One that is given up is killed, and not
/// waited for.
Result<std::string> output_of(std::vector<std::string> words, Microseconds patience,
                              std::size_t limit = 64 * 1024);

/// The same of a program whose output goes into an open file, for what is not to be in our memory.
Result<> run_into(std::vector<std::string> words, int output, Microseconds patience);

} // namespace vigil::base
