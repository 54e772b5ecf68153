// grants, revoke.

#include "base/log.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "cli/select.hpp"
#include "wire/errors.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>

#include <nlohmann/json.hpp>

namespace vigil::cli {

int grants(const Context& context, bool json) {
    const auto found = Client{context.socket}.grants();
    if (!found)
        return complain(found.error());
    if (!json) {
        std::fputs(grant_table(*found, context.now, context.look).c_str(), stdout);
        return 0;
    }
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const auto& grant : *found)
        all.push_back(to_json(grant));
    std::fputs(json_text(all).c_str(), stdout);
    return 0;
}

int revoke(const Context& context, const std::vector<std::string>& ids, const std::string& user) {
    const Client client{context.socket};
    const auto there = client.grants();
    if (!there)
        return complain(there.error());
    int status = 0;
    std::vector<wire::Grant> chosen;
    for (const auto& id : ids) {
        const auto found = find_grant(*there, id);
        if (found)
            chosen.push_back(*found);
        else
            status = std::max(status, complain(found.error()));
    }
    if (!user.empty()) {
        std::ranges::copy_if(*there, std::back_inserter(chosen),
                             [&](const auto& grant) { return grant.user == user; });
        if (chosen.empty())
            return complain({wire::code_not_found, user + ": no grants of this user"});
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
