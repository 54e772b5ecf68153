#include "cli/select.hpp"

#include "wire/errors.hpp"

#include <algorithm>

namespace vigil::cli {

Result<wire::Session> find_session(const std::vector<wire::Session>& sessions,
                                   const std::string& prefix) {
    const bool digits = std::ranges::all_of(
        prefix, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    if (!digits || prefix.size() < shortest_prefix || prefix.size() > id_digits)
        return fail(wire::code_invalid,
                    prefix + ": an id is 4 to 32 digits of 0-9 and a-f: vigilctl list");
    const wire::Session* found = nullptr;
    for (const auto& session : sessions) {
        if (!session.id.starts_with(prefix))
            continue;
        if (found != nullptr)
            return fail(wire::code_invalid,
                        prefix + ": more than one session begins so: give more digits");
        found = &session;
    }
    if (found == nullptr)
        return fail(wire::code_not_found, prefix + ": no such session: vigilctl list");
    return *found;
}

} // namespace vigil::cli
