#include "pam_module/arguments.hpp"

#include "base/process.hpp"

#include <algorithm>

namespace vigil::pam {

namespace {

/// Somebody with more of it has his keys asked for by su.
constexpr std::size_t max_environment_bytes = 1024UL * 1024;

} // namespace

bool has_option_n(std::string_view words, std::string_view with_value,
                  std::string_view long_name) noexcept {
    const auto next = [&] {
        const std::size_t end = std::min(words.find('\0'), words.size());
        const auto word = words.substr(0, end);
        words.remove_prefix(std::min(end + 1, words.size()));
        return word;
    };
    next();
    while (!words.empty()) {
        const auto word = next();
        if (!word.starts_with('-') || word == "-" || word == "--")
            return false;
        if (word.starts_with("--")) {
            if (word == long_name)
                return true;
            continue;
        }
        for (std::size_t i = 1; i < word.size(); ++i) {
            if (word[i] == 'n')
                return true;
            if (with_value.find(word[i]) == std::string_view::npos)
                continue;
            if (i + 1 == word.size())
                next();
            break;
        }
    }
    return false;
}

bool is_to_ask_nobody(std::string_view service) {
    const bool is_doas = service == "doas";
    if (!is_doas && service != "sudo" && service != "sudo-i")
        return false;
    const auto words = base::read_small_file("/proc/self/cmdline");
    return words && (is_doas ? has_option_n(*words, "Cu", "")
                             : has_option_n(*words, "CDghpRrTtUu", "--non-interactive"));
}

std::string_view variable_in(std::string_view words, std::string_view name) noexcept {
    while (!words.empty()) {
        const std::size_t end = std::min(words.find('\0'), words.size());
        const auto word = words.substr(0, end);
        if (word.size() > name.size() && word[name.size()] == '=' && word.starts_with(name))
            return word.substr(name.size() + 1);
        words.remove_prefix(std::min(end + 1, words.size()));
    }
    return {};
}

std::string variable_at_start(std::string_view name) {
    const auto words = base::read_small_file("/proc/self/environ", max_environment_bytes);
    return words ? std::string{variable_in(*words, name)} : std::string{};
}

} // namespace vigil::pam
