#include "cli/stack_check.hpp"

#include "base/process.hpp"

#include <algorithm>
#include <optional>
#include <set>

#include <unistd.h>

namespace vigil::cli {

namespace {

using Lines = std::vector<StackLine>;

/// nullopt: no such file is to be read.
std::optional<Lines> read_stack(const std::string& name, const char* type) {
    for (const char* folder : stack_folders)
        if (const auto text = base::read_small_file(name.starts_with('/') ? name : folder + name))
            return stack_lines(*text, type);
    return std::nullopt;
}

void put_together(const std::string& name, const char* type, std::size_t depth, std::size_t& files,
                  Lines& whole) {
    if (depth > deepest_stack || ++files > most_stack_files)
        return;
    for (auto& line : read_stack(name, type).value_or(Lines{}))
        if (line.includes)
            put_together(line.name, type, depth + 1, files, whole);
        else
            whole.push_back(std::move(line));
}

} // namespace

std::optional<Lines> whole_stack(const std::string& service, const char* type) {
    // A name of the policy's is no path.
    if (service.contains('/') || !read_stack(service, type))
        return std::nullopt;
    Lines whole;
    std::size_t files = 0;
    put_together(service, type, 0, files, whole);
    return whole;
}

AsksVigil asks_vigil(const std::string& service, const char* type) {
    const auto lines = whole_stack(service, type);
    if (!lines)
        return AsksVigil::no_stack;
    return std::ranges::any_of(*lines, is_vigils) ? AsksVigil::yes : AsksVigil::no;
}

const char* how_to_wire() {
    // Where PAM's files are authselect(8)'s.
    if (::access("/usr/libexec/vigil/authselect-profile", F_OK) == 0)
        return "/usr/libexec/vigil/authselect-profile enable";
    return "pam-auth-update --enable vigil vigil-session vigil-elevated";
}

std::vector<std::string>
unasked_services(const policy::Policy& policy,
                 const std::function<AsksVigil(const std::string& service)>& look) {
    std::vector<std::string> lines;
    std::set<std::string> told;
    for (std::size_t i = 0; i < policy.step_up.size(); ++i)
        for (const auto& service : policy.step_up[i].match.services) {
            if (policy.step_up[i].require.empty() || !told.insert(service).second)
                continue;
            const auto asks = look(service);
            const auto named =
                "rule " + std::to_string(i + 1) + " of step_up names the service " + service;
            if (asks == AsksVigil::no_stack)
                lines.push_back(named +
                                ", which PAM has no stack of here: not installed, or misspelt");
            else if (asks == AsksVigil::no)
                lines.push_back(named +
                                ", whose PAM stack has no account line of pam_vigil.so: nobody is "
                                "asked there; " +
                                how_to_wire() + ", or see pam_vigil(8)");
        }
    return lines;
}

} // namespace vigil::cli
