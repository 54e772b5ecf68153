#include "cli/select.hpp"

#include "wire/errors.hpp"

#include <algorithm>

namespace vigil::cli {

namespace {

/// `kind`: "session"; `verb` lists them.
template <typename Record>
Result<Record> find(const std::vector<Record>& records, const std::string& prefix,
                    const std::string& kind, const std::string& verb) {
    const bool digits = std::ranges::all_of(
        prefix, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
    if (!digits || prefix.size() < shortest_prefix || prefix.size() > id_digits)
        return fail(wire::code_invalid,
                    prefix + ": an id is 4 to 32 digits of 0-9 and a-f: vigilctl " + verb);
    const Record* found = nullptr;
    for (const auto& record : records) {
        if (!record.id.starts_with(prefix))
            continue;
        if (found != nullptr)
            return fail(wire::code_invalid,
                        prefix + ": more than one " + kind + " begins so: give more digits");
        found = &record;
    }
    if (found == nullptr)
        return fail(wire::code_not_found, prefix + ": no such " + kind + ": vigilctl " + verb);
    return *found;
}

} // namespace

Result<wire::Session> find_session(const std::vector<wire::Session>& sessions,
                                   const std::string& prefix) {
    return find(sessions, prefix, "session", "list");
}

Result<wire::Grant> find_grant(const std::vector<wire::Grant>& grants, const std::string& prefix) {
    return find(grants, prefix, "grant", "grants");
}

Result<wire::Request> find_request(const std::vector<wire::Request>& requests,
                                   const std::string& prefix) {
    return find(requests, prefix, "request", "requests");
}

} // namespace vigil::cli
