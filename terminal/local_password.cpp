#include "terminal/local_password.hpp"

#include "base/process.hpp"
#include "base/secret.hpp"

#include <algorithm>

namespace vigil::terminal {

namespace {

/// Some ten thousand users.
constexpr std::size_t longest_shadow = std::size_t{1} << 20;

/// Of the fields from the password on. usermod(8) locks one by a `!` in front of it.
LocalPassword kind_of(std::string_view fields) noexcept {
    const auto password = fields.substr(0, fields.find(':'));
    if (password.empty())
        return LocalPassword::empty;
    const auto own = password.substr(std::min(password.find_first_not_of('!'), password.size()));
    if (own.empty() || own.front() == '*')
        return LocalPassword::none;
    return own.size() < password.size() ? LocalPassword::locked : LocalPassword::usable;
}

} // namespace

// Not getspnam(3): nobody waits for a directory of the network here.
LocalPassword local_password(std::string_view user) {
    auto read = base::read_small_file("/etc/shadow", longest_shadow);
    if (!read)
        return LocalPassword::usable;
    const base::Secret shadow{std::move(*read)};
    std::string_view rest = shadow.view();
    while (!rest.empty()) {
        const auto line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        const auto end = line.find(':');
        if (end == line.npos || line.substr(0, end) != user)
            continue;
        return kind_of(line.substr(end + 1));
    }
    return LocalPassword::usable;
}

} // namespace vigil::terminal
