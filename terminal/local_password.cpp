#include "terminal/local_password.hpp"

#include "base/process.hpp"
#include "base/secret.hpp"

#include <algorithm>

namespace vigil::terminal {

namespace {

/// Some ten thousand users.
constexpr std::size_t longest_shadow = std::size_t{1} << 20;

} // namespace

// Not getspnam(3): nobody waits for a directory of the network here.
bool lacks_local_password(std::string_view user) {
    auto read = base::read_small_file("/etc/shadow", longest_shadow);
    if (!read)
        return false;
    const base::Secret shadow{std::move(*read)};
    std::string_view rest = shadow.view();
    while (!rest.empty()) {
        const auto line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        const auto end = line.find(':');
        if (end == line.npos || line.substr(0, end) != user)
            continue;
        const auto password = line.substr(end + 1);
        return password.starts_with('!') || password.starts_with('*');
    }
    return false;
}

} // namespace vigil::terminal
