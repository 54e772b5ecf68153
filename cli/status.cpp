// status, reload.

#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "cli/host_checks.hpp"

#include <cstdio>

#include <nlohmann/json.hpp>

namespace vigil::cli {

void put_listing(const Client& client, const std::string& table) {
    std::fputs(table.c_str(), stdout);
    if (const auto status = client.status(); status && status->mode == "observe")
        std::puts("\nvigil only observes on this host: nothing of this is enforced. See: vigilctl "
                  "rehearse --help");
}

int status(const Context& context, bool json) {
    const Client client{context.socket};
    const auto found = client.status();
    if (!found)
        return complain(found.error());
    // Others than root are not told, and an older vigild knows of none.
    const auto told = client.blocks();
    if (!told && exit_status(told.error()) == exit_away)
        return complain(told.error());
    const auto blocks = told ? std::optional{*told} : std::nullopt;
    const std::string text = json ? json_text(to_json(*found, blocks))
                                  : status_text(*found, blocks.value_or(std::vector<wire::Block>{}),
                                                context.now, context.look);
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
