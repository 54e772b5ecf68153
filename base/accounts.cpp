#include "base/accounts.hpp"

#include "base/unique_fd.hpp"

#include <cerrno>

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>

namespace vigil::base {

namespace {

constexpr std::size_t largest_entry = 1024 * 1024; // a group's members count, too

/// getpwnam_r(3) has all of these for a name that is not there.
bool is_not_found(int code) noexcept {
    return code == 0 || code == ENOENT || code == ESRCH || code == EBADF || code == EPERM;
}

/// A source that could not be read is hidden by the "not found" of the next one. Want of
/// descriptors, which a user can bring about, is looked for: 0, or why none can be had.
int starved() noexcept {
    const UniqueFd probe{::open("/", O_PATH | O_CLOEXEC)};
    return probe ? 0 : errno;
}

/// What `take` makes of the entry; getpwnam_r(3) and its kin say ERANGE until the buffer is large
/// enough.
template <typename Entry, typename Lookup, typename Take>
auto look_up(const std::string& what, Lookup lookup, Take take)
    -> Result<std::optional<decltype(take(Entry{}))>> {
    std::string buffer(4096, '\0');
    while (true) {
        Entry entry{};
        Entry* found = nullptr;
        const int r = lookup(&entry, buffer.data(), buffer.size(), &found);
        if (found)
            return take(entry);
        if (r == EINTR)
            continue;
        if (r == ERANGE && buffer.size() < largest_entry) {
            buffer.resize(buffer.size() * 4);
            continue;
        }
        if (!is_not_found(r))
            return fail(r, "looking up " + what);
        if (const int why = starved(); why != 0)
            return fail(why, "looking up " + what);
        return std::nullopt;
    }
}

Account account_of(const passwd& entry) {
    return {
        .name = entry.pw_name, .uid = entry.pw_uid, .group = entry.pw_gid, .home = entry.pw_dir};
}

Result<std::optional<std::string>> group_name(gid_t gid) {
    return look_up<group>(
        "group " + std::to_string(gid),
        [gid](group* entry, char* buffer, std::size_t size, group** found) {
            return getgrgid_r(gid, entry, buffer, size, found);
        },
        [](const group& entry) { return std::string{entry.gr_name ? entry.gr_name : ""}; });
}

/// getgrouplist(3) hides what went wrong, too, but leaves it in errno; these it never leaves there
/// when all went well.
bool is_failure(int code) noexcept {
    return code == EMFILE || code == ENFILE || code == ENOMEM || code == EIO;
}

} // namespace

Result<std::optional<Account>> find_account(uid_t uid) {
    return look_up<passwd>(
        "uid " + std::to_string(uid),
        [uid](passwd* entry, char* buffer, std::size_t size, passwd** found) {
            return getpwuid_r(uid, entry, buffer, size, found);
        },
        account_of);
}

Result<std::optional<Account>> find_account(const std::string& name) {
    return look_up<passwd>(
        "user " + name,
        [&name](passwd* entry, char* buffer, std::size_t size, passwd** found) {
            return getpwnam_r(name.c_str(), entry, buffer, size, found);
        },
        account_of);
}

Result<std::vector<std::string>> group_names(const std::string& user, gid_t primary,
                                             std::size_t most) {
    std::vector<gid_t> gids(most);
    int count = static_cast<int>(most);
    errno = 0;
    const int r = getgrouplist(user.c_str(), primary, gids.data(), &count);
    if (is_failure(errno))
        return fail(errno, "reading the groups of " + user);
    if (r < 0)
        return fail(E2BIG, "user " + user + " is in more than " + std::to_string(most) + " groups");
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) {
        auto name = group_name(gids[static_cast<std::size_t>(i)]);
        if (!name)
            return std::unexpected{name.error()};
        if (*name && !(*name)->empty())
            names.push_back(std::move(**name));
    }
    return names;
}

} // namespace vigil::base
