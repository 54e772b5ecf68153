// status, reload.

#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "cli/host_checks.hpp"

#include <cstdio>

#include <nlohmann/json.hpp>

namespace vigil::cli {

int status(const Context& context, bool json) {
    const auto found = Client{context.socket}.status();
    if (!found)
        return complain(found.error());
    const std::string text =
        json ? json_text(to_json(*found)) : status_text(*found, context.now, context.look);
    std::fputs(text.c_str(), stdout);
    // vigild has seen the keys of its start; what is there now is on the disk, for root to see.
    if (const auto left = left_by_rekey(); left && !left->empty())
        std::fprintf(stderr, "vigilctl: %s: `vigilctl rekey` does it anew\n", left->c_str());
    return 0;
}

int reload(const Context& context) {
    const auto error = Client{context.socket}.reload();
    if (!error)
        return complain(error.error());
    if (!error->empty())
        return complain({0, *error + "; the policy before it stays in force"});
    std::puts("loaded");
    return 0;
}

} // namespace vigil::cli
