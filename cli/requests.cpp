// requests, approve, deny.

#include "base/log.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "cli/select.hpp"
#include "wire/errors.hpp"

#include <cstdio>

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace vigil::cli {

namespace {

/// What is answered is what was shown: nobody says yes to what he has not seen.
bool is_confirmed(const Context& context, const wire::Request& request) {
    std::fputs(request_details(request, context.now, context.look).c_str(), stdout);
    std::fputs("Approve this one command? [y/N] ", stdout);
    std::fflush(stdout);
    char line[16] = {};
    return std::fgets(line, sizeof line, stdin) != nullptr && (line[0] == 'y' || line[0] == 'Y');
}

std::string name_of(const wire::Request& request) {
    return "request " + request.id.substr(0, 8) + " of " + request.user;
}

/// The one that is meant, of those that wait.
Result<wire::Request> ask_for(const Client& client, const std::string& id) {
    const auto there = client.requests();
    if (!there)
        return std::unexpected{there.error()};
    return find_request(*there, id);
}

int report(const Result<>& done, const char* what, const wire::Request& request) {
    if (!done)
        return complain({done.error().code, name_of(request) + ": " + done.error().what});
    std::printf("%s %s\n", what, base::escape(name_of(request)).c_str());
    return 0;
}

} // namespace

int requests(const Context& context, bool json) {
    const Client client{context.socket};
    const auto found = client.requests();
    if (!found)
        return complain(found.error());
    if (!json) {
        put_listing(client, request_table(*found, context.now, context.look));
        return 0;
    }
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const auto& request : *found)
        all.push_back(to_json(request));
    std::fputs(json_text(all).c_str(), stdout);
    return 0;
}

int approve(const Context& context, const std::string& id, bool sure) {
    const Client client{context.socket};
    const auto request = ask_for(client, id);
    if (!request)
        return complain(request.error());
    if (!sure && isatty(STDIN_FILENO) == 0)
        return complain({wire::code_invalid,
                         "there is no terminal to show the request at: look at it with `vigilctl "
                         "requests --json`, and say --yes"});
    if (!sure && !is_confirmed(context, *request)) {
        std::puts("Not approved. It waits on; `vigilctl deny` says no.");
        return exit_refused;
    }
    return report(client.approve(*request), "approved", *request);
}

int deny(const Context& context, const std::string& id, const std::string& reason) {
    const Client client{context.socket};
    const auto request = ask_for(client, id);
    if (!request)
        return complain(request.error());
    return report(client.deny(*request, reason), "denied", *request);
}

} // namespace vigil::cli
