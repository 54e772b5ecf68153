#include "cli/pam_stack.hpp"

#include "cli/config_text.hpp"

#include <algorithm>

namespace vigil::cli {

std::vector<StackLine> stack_lines(std::string_view text, std::string_view type) {
    std::vector<StackLine> lines;
    while (!text.empty()) {
        auto line = take_line(text);
        line = trimmed(line.substr(0, line.find('#')));
        auto first = take_word(line);
        const bool may_miss = first.starts_with('-');
        first.remove_prefix(may_miss ? 1 : 0);
        const bool whole = first == "@include"; // Debian's, of all types
        if (!whole && first != type)
            continue;
        const auto control = whole ? first : take_word(line);
        if (line.empty())
            continue;
        const auto name = take_word(line);
        lines.push_back({.includes = whole || control == "include" || control == "substack",
                         .may_miss = may_miss,
                         .name = std::string{name},
                         .arguments = std::string{line}});
    }
    return lines;
}

bool is_vigils(const StackLine& line) noexcept {
    return !line.includes &&
           std::string_view{line.name}.substr(line.name.rfind('/') + 1) == "pam_vigil.so";
}

std::optional<std::string> wrong_in_session(const std::vector<StackLine>& lines) {
    const auto place_of = [&](auto&& fits) { return std::ranges::find_if(lines, fits); };
    const auto systemd = place_of([](const StackLine& line) {
        return std::string_view{line.name}.ends_with("pam_systemd.so");
    });
    const auto prepares = place_of([](const StackLine& line) {
        return is_vigils(line) && line.arguments.starts_with("prepare");
    });
    const auto registers = place_of([](const StackLine& line) {
        return is_vigils(line) && !line.arguments.starts_with("prepare") &&
               !line.arguments.starts_with("elevated");
    });
    if (registers == lines.end())
        return "no session line registers the login";
    if (systemd == lines.end())
        return "there is no pam_systemd.so, so no session that can be locked";
    if (registers < systemd)
        return "the login is registered before pam_systemd.so has made its session";
    if (prepares == lines.end() || prepares > systemd)
        return "no line `pam_vigil.so prepare` stands before pam_systemd.so";
    return std::nullopt;
}

} // namespace vigil::cli
