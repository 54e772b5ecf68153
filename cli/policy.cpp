// policy check: without vigild, so that a file can be tried before it is put in place.

#include "base/log.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "cli/stack_check.hpp"
#include "policy/load.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>

#include <nlohmann/json.hpp>

namespace vigil::cli {

namespace {

Result<policy::Policy> read(const std::string& path, bool must_be_ours) {
    const auto sources = policy::read_sources(path, must_be_ours);
    if (!sources)
        return std::unexpected{sources.error()};
    return policy::parse(*sources);
}

/// A draft may be for another host.
std::vector<std::string> warnings_of(const policy::Policy& policy, bool in_force) {
    auto lines = policy::warnings(policy);
    if (in_force)
        std::ranges::move(
            unasked_services(
                policy, [](const std::string& service) { return asks_vigil(service, "account"); }),
            std::back_inserter(lines));
    return lines;
}

nlohmann::ordered_json verdict(const std::string& path, const Result<policy::Policy>& found,
                               bool in_force) {
    if (!found)
        return {{"file", path}, {"ok", false}, {"error", found.error().text()}};
    return {{"file", path},
            {"ok", true},
            {"error", nullptr},
            {"warnings", warnings_of(*found, in_force)},
            {"session_rules", found->sessions.size()},
            {"step_up_rules", found->step_up.size()},
            {"elevated_rules", found->elevated.size()}};
}

void tell(const std::string& path, const Result<policy::Policy>& found, bool in_force) {
    if (!found) {
        std::fprintf(stderr, "%s\n", base::escape(found.error().text()).c_str());
        return;
    }
    std::printf("%s: ok, %s\n", base::escape(path).c_str(), policy::summary(*found).c_str());
    for (const auto& line : warnings_of(*found, in_force))
        std::printf("%s: warning: %s\n", base::escape(path).c_str(), base::escape(line).c_str());
}

} // namespace

int check_policy(const std::vector<std::string>& files, bool json) {
    // The one in force is read as vigild reads it; a draft may be anybody's.
    const bool in_force = files.empty();
    int status = 0;
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const auto& file : in_force ? std::vector<std::string>{policy::default_path} : files) {
        const auto found = read(file, in_force);
        if (!found)
            status = exit_refused;
        if (json)
            all.push_back(verdict(file, found, in_force));
        else
            tell(file, found, in_force);
    }
    if (json)
        std::fputs(json_text(all).c_str(), stdout);
    return status;
}

} // namespace vigil::cli
