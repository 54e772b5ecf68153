#pragma once
// sudo's lists of texts, ended by a null pointer; those of settings are "name=value"
// (sudo_plugin(5)).

#include "base/number.hpp"

#include <optional>
#include <string_view>
#include <vector>

namespace vigil::sudo {

/// Views of sudo's own texts, which stay for as long as the call.
std::vector<std::string_view> texts_of(char* const* list);

std::optional<std::string_view> value_of(char* const* list, std::string_view name);

bool is_true(char* const* list, std::string_view name);

template <typename Number>
std::optional<Number> number_of(char* const* list, std::string_view name) {
    const auto text = value_of(list, name);
    Number number{};
    if (!text || !base::parse_number(*text, number))
        return std::nullopt;
    return number;
}

} // namespace vigil::sudo
