#include "daemon/bus/factor_words.hpp"

#include "daemon/shell/facts.hpp"

#include <cerrno>

namespace vigil::bus {

Result<base::Account> person_named(const Call& call, const std::string& user) {
    const auto own = caller_name(call);
    if (user.empty() || user == own)
        return base::Account{.name = own, .uid = call.uid};
    const auto uid = shell::uid_of(user);
    if (!uid)
        return std::unexpected{uid.error()};
    return base::Account{.name = user, .uid = *uid};
}

Error as_answer(const Error& error) {
    switch (error.code) {
    case ENOENT:
        return {wire::code_not_found, "There is no such factor waiting for its proof."};
    case EACCES:
    case EPERM:
        return {wire::code_denied, error.what};
    case EINVAL:
    case ENOTSUP:
    case EEXIST:
        return {wire::code_invalid, error.what};
    case EDQUOT:
        return {wire::code_too_many, error.what};
    default:
        return {wire::code_broken, error.text()};
    }
}

Error too_many_wrong(Seconds wait) {
    return {wire::code_denied,
            "Too many wrong answers: try again in " + std::to_string(wait.count()) + " s."};
}

std::string last_factor_text(const std::string& id) {
    return "That is the last factor that counts for you: an administrator removes it, by "
           "`vigilctl forget " +
           id + "`.";
}

} // namespace vigil::bus
