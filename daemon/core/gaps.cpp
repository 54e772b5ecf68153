#include "daemon/core/gaps.hpp"

#include <algorithm>

namespace vigil::core {

bool makes_incomplete(const Gap& gap) noexcept {
    switch (gap.kind) {
    case Gap::Kind::not_held:
    case Gap::Kind::undelegated:
    case Gap::Kind::reader:
    case Gap::Kind::desktop:
        return true;
    case Gap::Kind::unasked:    // nobody gets past what has no door
    case Gap::Kind::at_its_own: // held all the same, if not as it is held elsewhere
    case Gap::Kind::slow:       // nothing of it runs meanwhile
    case Gap::Kind::unsealed:   // no key of these terminals reaches what it brings
    case Gap::Kind::closed:     // what stood still there is gone
    case Gap::Kind::user_unit:  // the user's and not the session's: its end would not stop them
        return false;
    }
    return true;
}

bool is_looked_for(const Gap& gap) noexcept {
    switch (gap.kind) {
    case Gap::Kind::undelegated:
    case Gap::Kind::reader:
    case Gap::Kind::at_its_own:
    case Gap::Kind::slow:
    case Gap::Kind::unsealed:
    case Gap::Kind::closed:
    case Gap::Kind::user_unit:
        return true;
    case Gap::Kind::not_held:
    case Gap::Kind::unasked:
    case Gap::Kind::desktop:
        return false;
    }
    return false;
}

const Gap* first_incomplete(const std::vector<Gap>& gaps) noexcept {
    const auto found = std::ranges::find_if(gaps, makes_incomplete);
    return found == gaps.end() ? nullptr : &*found;
}

std::string text_of(const std::vector<Gap>& gaps) {
    std::string text;
    for (const auto& gap : gaps)
        text += (text.empty() ? "" : "; ") + gap.text;
    return text;
}

} // namespace vigil::core
