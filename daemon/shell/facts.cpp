#include "daemon/shell/facts.hpp"

#include <algorithm>

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

namespace vigil::shell {

namespace {

/// getpwnam_r and its kin say ERANGE until the buffer is large enough.
constexpr std::size_t largest_entry = 1024 * 1024;

template <typename Entry, typename Lookup>
std::optional<std::string> name_from(Lookup lookup, char* Entry::* name) {
    std::string buffer(4096, '\0');
    for (;;) {
        Entry entry{};
        Entry* found = nullptr;
        const int error = lookup(&entry, buffer.data(), buffer.size(), &found);
        if (error == ERANGE && buffer.size() < largest_entry) {
            buffer.resize(buffer.size() * 4);
            continue;
        }
        if (error != 0 || !found)
            return std::nullopt;
        return std::string{entry.*name};
    }
}

std::vector<std::string> groups_of(const std::string& user, gid_t primary) {
    std::vector<gid_t> gids(max_groups_of_user);
    int count = max_groups_of_user;
    if (getgrouplist(user.c_str(), primary, gids.data(), &count) < 0)
        count = max_groups_of_user;
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) {
        const auto gid = gids[static_cast<std::size_t>(i)];
        auto name = name_from<group>(
            [&](group* entry, char* buffer, std::size_t size, group** found) {
                return getgrgid_r(gid, entry, buffer, size, found);
            },
            &group::gr_name);
        if (name)
            names.push_back(std::move(*name));
    }
    return names;
}

policy::Facts with_remote(policy::Facts facts, const std::string& remote_host) {
    const auto host = policy::parse_remote_host(remote_host);
    facts.remote = host.address;
    facts.remote_unknown = host.is_remote && !host.address;
    return facts;
}

} // namespace

policy::Facts facts_of_user(uid_t uid, const std::string& service) {
    policy::Facts facts;
    facts.uid = uid;
    facts.service = service;
    gid_t primary = static_cast<gid_t>(-1);
    const auto name = name_from<passwd>(
        [&](passwd* entry, char* buffer, std::size_t size, passwd** found) {
            const int error = getpwuid_r(uid, entry, buffer, size, found);
            if (*found)
                primary = entry->pw_gid;
            return error;
        },
        &passwd::pw_name);
    facts.user = name.value_or(std::to_string(uid));
    if (name)
        facts.groups = groups_of(*name, primary);
    return facts;
}

Result<uid_t> uid_of(const std::string& user) {
    uid_t uid = static_cast<uid_t>(-1);
    const auto name = name_from<passwd>(
        [&](passwd* entry, char* buffer, std::size_t size, passwd** found) {
            const int error = getpwnam_r(user.c_str(), entry, buffer, size, found);
            if (*found)
                uid = entry->pw_uid;
            return error;
        },
        &passwd::pw_name);
    if (!name || uid == static_cast<uid_t>(-1))
        return fail("There is no user " + user + " here");
    return uid;
}

policy::Facts facts_of(const enforce::LogindSession& session) {
    auto facts = facts_of_user(session.uid, session.service);
    if (session.type == "x11" || session.type == "wayland" || session.type == "mir")
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
