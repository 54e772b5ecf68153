#include "cli/sudo_conf.hpp"

#include <algorithm>

namespace vigil::cli {

namespace {

std::string block() {
    return std::string{sudo_conf_begin} += std::string{sudo_conf_line} += sudo_conf_end;
}

/// The line's words, as sudo takes them apart: a comment is none.
bool loads_plugin(std::string_view line) {
    constexpr std::string_view blank = " \t";
    const auto word = [&] {
        line.remove_prefix(std::min(line.find_first_not_of(blank), line.size()));
        const auto found = line.substr(0, line.find_first_of(blank));
        line.remove_prefix(found.size());
        return found;
    };
    return word() == "Plugin" && word() == "vigil_approval";
}

bool has_plugin_line(std::string_view text) {
    while (!text.empty()) {
        const auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (loads_plugin(line))
            return true;
    }
    return false;
}

} // namespace

SudoConf state_of_sudo_conf(std::string_view text) {
    const auto whole = block();
    const auto at = text.find(whole);
    std::string rest{text};
    if (at != text.npos)
        rest.erase(at, whole.size());
    if (rest.contains(sudo_conf_begin) || rest.contains(sudo_conf_end))
        return SudoConf::changed;
    if (has_plugin_line(rest))
        return SudoConf::by_hand;
    return at != text.npos ? SudoConf::with : SudoConf::without;
}

std::string with_vigil(std::string_view text) {
    return block() += text;
}

std::string without_vigil(std::string_view text) {
    std::string rest{text};
    const auto whole = block();
    if (const auto at = rest.find(whole); at != rest.npos)
        rest.erase(at, whole.size());
    return rest;
}

} // namespace vigil::cli
