#include "cli/mode_text.hpp"

#include "cli/config_text.hpp"

namespace vigil::cli {

std::optional<std::string> made_enforcing(std::string_view policy) {
    constexpr std::string_view key = "mode:";
    constexpr std::string_view observe = "observe";
    for (std::size_t at = 0; at < policy.size();) {
        const auto end = std::min(policy.find('\n', at), policy.size());
        const auto line = policy.substr(at, end - at);
        if (line.starts_with(key)) {
            const auto value = line.find_first_not_of(config_blanks, key.size());
            if (value == line.npos || !line.substr(value).starts_with(observe))
                return std::nullopt;
            const auto rest = line.substr(value + observe.size());
            if (!rest.empty() && !config_blanks.contains(rest.front()))
                return std::nullopt;
            std::string text{policy};
            return text.replace(at + value, observe.size(), "enforce");
        }
        at = end + 1;
    }
    return std::nullopt;
}

} // namespace vigil::cli
