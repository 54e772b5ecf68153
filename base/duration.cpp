#include "base/duration.hpp"

namespace vigil::base {

std::string duration_text(Microseconds duration) {
    const auto total = std::chrono::ceil<Seconds>(duration).count();
    const auto hours = total / 3600;
    const auto minutes = total / 60 % 60;
    const auto seconds = total % 60;
    std::string text;
    const auto add = [&](auto value, const char* unit) {
        if (value > 0)
            text += (text.empty() ? "" : " ") + std::to_string(value) + unit;
    };
    add(hours, " h");
    add(minutes, " min");
    if (hours == 0)
        add(seconds, " s");
    return text.empty() ? "0 s" : text;
}

} // namespace vigil::base
