#pragma once
// Which sessions or grants a verb means. Pure.

#include "base/error.hpp"
#include "wire/messages.hpp"

namespace vigil::cli {

inline constexpr std::size_t shortest_prefix = 4;
inline constexpr std::size_t id_digits = 32;

/// A session by its id or a beginning of it that only it has. Errors: code_not_found, code_invalid.
Result<wire::Session> find_session(const std::vector<wire::Session>& sessions,
                                   const std::string& prefix);

/// The same of a grant.
Result<wire::Request> find_request(const std::vector<wire::Request>& requests,
                                   const std::string& prefix);
Result<wire::Grant> find_grant(const std::vector<wire::Grant>& grants, const std::string& prefix);

} // namespace vigil::cli
