#include "base/glob.hpp"

#include <algorithm>

namespace vigil::base {

namespace {

bool is_wildcard(char c) noexcept {
    return c == '*' || c == '?';
}

/// Bytes of the character that `text` begins with; one where it is no UTF-8.
std::size_t character(std::string_view text) noexcept {
    std::size_t size = 1;
    while (size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80)
        ++size;
    return size;
}

bool is_dots(std::string_view name) noexcept {
    return name == "." || name == "..";
}

/// One name of a path, without a `/`; an empty one there is the folder in front of it. A `*` takes
/// as little as it can, and one character more each time that what follows does not fit: the last
/// one alone ever has to be gone back to.
bool name_matches(std::string_view glob, std::string_view name, bool in_path) noexcept {
    if (is_dots(name) || (name.empty() && in_path))
        return glob == name;
    std::size_t at = 0;
    std::size_t taken = 0;
    std::size_t star = std::string_view::npos;
    std::size_t star_taken = 0;
    while (taken < name.size()) {
        if (at < glob.size() && glob[at] == '*') {
            star = at++;
            star_taken = taken;
        } else if (at < glob.size() && glob[at] == '?') {
            ++at;
            taken += character(name.substr(taken));
        } else if (at < glob.size() && glob[at] == name[taken]) {
            ++at;
            ++taken;
        } else if (star != std::string_view::npos) {
            at = star + 1;
            star_taken += character(name.substr(star_taken));
            taken = star_taken;
        } else {
            return false;
        }
    }
    return glob.find_first_not_of('*', at) == std::string_view::npos;
}

/// Cuts off what is in front of the first `/`, and that.
std::string_view next_name(std::string_view& text) noexcept {
    const std::size_t end = std::min(text.find('/'), text.size());
    const std::string_view name = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return name;
}

} // namespace

bool glob_matches(std::string_view glob, std::string_view text) noexcept {
    if (text.starts_with('-') && !glob.empty() && is_wildcard(glob.front()))
        return false;
    if (std::ranges::count(glob, '/') != std::ranges::count(text, '/'))
        return false;
    // As many names in each, so they end together.
    const auto slashes = std::ranges::count(glob, '/');
    for (auto names = slashes + 1; names > 0; --names)
        if (!name_matches(next_name(glob), next_name(text), slashes > 0))
            return false;
    return true;
}

} // namespace vigil::base
