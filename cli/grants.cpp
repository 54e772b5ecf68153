// grants, revoke.

#include "base/log.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "cli/password_agent.hpp"
#include "cli/select.hpp"
#include "wire/errors.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <optional>

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace vigil::cli {

namespace {

/// An operator may be one by his password, which polkit asks for here.
Result<std::vector<wire::Grant>> grants_of_all(const Client& client) {
    const PasswordAgent agent;
    return client.all_grants();
}

bool is_there(const std::vector<wire::Grant>& grants, const std::vector<std::string>& ids,
              const std::string& user) {
    const auto is_found = [&](const std::string& id) {
        const auto found = find_grant(grants, id);
        return found || found.error().code != wire::code_not_found;
    };
    return std::ranges::all_of(ids, is_found) &&
           (user.empty() || std::ranges::count(grants, user, &wire::Grant::user) > 0);
}

} // namespace

int grants(const Context& context, bool all, bool json) {
    const Client client{context.socket};
    const auto found = all ? grants_of_all(client) : client.grants();
    if (!found)
        return complain(found.error());
    if (!json) {
        put_listing(client, grant_table(*found, context.now, context.look));
        return 0;
    }
    nlohmann::ordered_json listed = nlohmann::ordered_json::array();
    for (const auto& grant : *found)
        listed.push_back(to_json(grant));
    std::fputs(json_text(listed).c_str(), stdout);
    return 0;
}

int revoke(const Context& context, const std::vector<std::string>& ids, const std::string& user) {
    const Client client{context.socket};
    auto there = client.grants();
    if (!there)
        return complain(there.error());
    int status = 0;
    std::vector<wire::Grant> chosen;
    // Whoever means others' is asked who he is, once for all of them (org.vigil1.manage-grants).
    std::optional<PasswordAgent> agent;
    std::optional<Error> refused;
    if (geteuid() != 0 && !is_there(*there, ids, user)) {
        agent.emplace();
        auto all = client.all_grants();
        if (all)
            there = std::move(all);
        else
            refused = all.error();
    }
    const auto missing = [&](const std::string& what, const Error& error) {
        return refused && error.code == wire::code_not_found
                   ? Error{refused->code, what + ": none of yours. " + refused->what}
                   : error;
    };
    for (const auto& id : ids) {
        const auto found = find_grant(*there, id);
        if (found)
            chosen.push_back(*found);
        else
            status = std::max(status, complain(missing(id, found.error())));
    }
    if (!user.empty()) {
        std::ranges::copy_if(*there, std::back_inserter(chosen),
                             [&](const auto& grant) { return grant.user == user; });
        if (chosen.empty())
            return complain(
                missing(user, {wire::code_not_found, user + ": no grants of this user"}));
    }
    for (const auto& grant : chosen) {
        const std::string name = grant.id.substr(0, 8) + " of " + grant.user;
        const auto done = client.revoke(grant.id);
        if (done)
            std::printf("revoked %s\n", base::escape(name).c_str());
        else
            status =
                std::max(status, complain({done.error().code, name + ": " + done.error().what}));
    }
    return status;
}

} // namespace vigil::cli
