#include "cli/sudo_conf.hpp"

#include <algorithm>
#include <cctype>

namespace vigil::cli {

namespace {

std::string block(Unavailable unavailable) {
    std::string text{sudo_conf_begin};
    text += sudo_conf_line;
    if (unavailable == Unavailable::allow)
        text += sudo_conf_allow;
    text += "\n";
    return text += sudo_conf_end;
}

/// Takes vigil's lines out as it wrote them, of either kind; false: they are not there.
bool take_block(std::string& text) {
    for (const auto unavailable : {Unavailable::deny, Unavailable::allow}) {
        const auto whole = block(unavailable);
        if (const auto at = text.find(whole); at != text.npos) {
            text.erase(at, whole.size());
            return true;
        }
    }
    return false;
}

/// sudo takes its keywords in any case.
bool is_keyword(std::string_view word, std::string_view wanted) {
    return std::ranges::equal(
        word, wanted, {}, [](unsigned char c) { return std::tolower(c); },
        [](unsigned char c) { return std::tolower(c); });
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
    return is_keyword(word(), "Plugin") && word() == "vigil_approval";
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
    std::string rest{text};
    const bool had = take_block(rest);
    if (rest.contains(sudo_conf_begin) || rest.contains(sudo_conf_end))
        return SudoConf::changed;
    if (has_plugin_line(rest))
        return SudoConf::by_hand;
    return had ? SudoConf::with : SudoConf::without;
}

std::string with_vigil(std::string_view text, Unavailable unavailable) {
    return block(unavailable) += text;
}

std::string without_vigil(std::string_view text) {
    std::string rest{text};
    take_block(rest);
    return rest;
}

} // namespace vigil::cli
