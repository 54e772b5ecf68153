#include "wire/observing.hpp"

#include "base/process.hpp"
#include "wire/beside.hpp"

#include <algorithm>

#include <sys/stat.h>

namespace vigil::wire {

/// As the kernel takes it apart: at white space.
bool says_observe(std::string_view kernel_command_line) noexcept {
    constexpr std::string_view blanks = " \t\n";
    auto rest = kernel_command_line;
    while (true) {
        rest.remove_prefix(std::min(rest.find_first_not_of(blanks), rest.size()));
        const auto word = rest.substr(0, rest.find_first_of(blanks));
        if (word.empty() || word == "--")
            return false;
        if (word == observe_word)
            return true;
        rest.remove_prefix(word.size());
    }
}

bool observes(const std::string& socket) {
    const auto mark = beside(socket, observing_mark);
    struct stat status{};
    if (::lstat(mark.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == 0)
        return true;
    return says_observe(base::read_small_file("/proc/cmdline").value_or(std::string{}));
}

} // namespace vigil::wire
