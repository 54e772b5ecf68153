#include "sudo_plugin/lists.hpp"

namespace vigil::sudo {

std::vector<std::string_view> texts_of(char* const* list) {
    std::vector<std::string_view> texts;
    for (; list != nullptr && *list != nullptr; ++list)
        texts.emplace_back(*list);
    return texts;
}

std::optional<std::string_view> value_of(char* const* list, std::string_view name) {
    for (; list != nullptr && *list != nullptr; ++list) {
        const std::string_view text{*list};
        if (text.size() > name.size() && text.starts_with(name) && text[name.size()] == '=')
            return text.substr(name.size() + 1);
    }
    return std::nullopt;
}

bool is_true(char* const* list, std::string_view name) {
    return value_of(list, name) == "true";
}

} // namespace vigil::sudo
