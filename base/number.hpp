#pragma once
// Numbers in text from outside.

#include <charconv>
#include <string_view>

namespace vigil::base {

/// false: the text is no decimal number, or not that alone; `number` may have changed all the same.
template <typename Number>
bool parse_number(std::string_view text, Number& number) noexcept {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc{} && stop == end;
}

} // namespace vigil::base
