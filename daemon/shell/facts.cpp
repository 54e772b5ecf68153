#include "daemon/shell/facts.hpp"

#include "base/accounts.hpp"
#include "base/log.hpp"
#include "wire/errors.hpp"

#include <algorithm>
#include <cerrno>

namespace vigil::shell {

namespace {

policy::Facts with_remote(policy::Facts facts, const std::string& remote_host) {
    const auto host = policy::parse_remote_host(remote_host);
    facts.remote = host.address;
    facts.remote_unknown = host.is_remote && !host.address;
    return facts;
}

} // namespace

Result<policy::Facts> facts_of_user(uid_t uid, const std::string& service) {
    const auto account = base::find_account(uid);
    if (!account)
        return std::unexpected{account.error()};
    if (!*account)
        return fail(ENOENT, "uid " + std::to_string(uid) + " has no name");
    auto groups = base::group_names((*account)->name, (*account)->group, wire::max_groups);
    if (!groups)
        return std::unexpected{groups.error()};
    policy::Facts facts;
    facts.user = (*account)->name;
    facts.uid = uid;
    facts.groups = std::move(*groups);
    facts.service = service;
    return facts;
}

Result<uid_t> uid_of(const std::string& user) {
    const auto account = base::find_account(user);
    if (!account)
        return fail(wire::code_broken, account.error().text());
    if (!*account)
        return fail(wire::code_not_found, "There is no user " + user + " here.");
    return (*account)->uid;
}

policy::Facts facts_of(const enforce::LogindSession& session) {
    policy::Facts facts;
    if (auto known = facts_of_user(session.uid, session.service)) {
        facts = std::move(*known);
    } else {
        // There is nobody to refuse: watched by a few rules is better than not at all.
        base::log(base::Level::warning, "session " + session.id +
                                            " of logind's is watched without rules for its user's "
                                            "groups: " +
                                            known.error().text());
        facts.user = std::to_string(session.uid);
        facts.uid = session.uid;
        facts.service = session.service;
    }
    if (enforce::is_graphical(session.type))
        facts.session_class = policy::SessionClass::graphical;
    else
        facts.session_class = policy::SessionClass::command;
    return with_remote(std::move(facts), session.remote_host);
}

policy::Facts facts_of(const wire::Login& login) {
    policy::Facts facts;
    facts.user = login.user;
    facts.uid = login.uid;
    facts.groups = login.groups;
    facts.service = login.service;
    return with_remote(std::move(facts), login.remote_host);
}

BootTime boot_time_of(WallTime time, const Now& now) noexcept {
    // A wall clock set back meanwhile must not put a start into the future.
    return std::min(now.boot, now.boot - (now.wall - time));
}

WallTime wall_time_of(BootTime time, const Now& now) noexcept {
    return now.wall + (time - now.boot);
}

} // namespace vigil::shell
