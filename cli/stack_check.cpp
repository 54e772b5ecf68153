#include "cli/stack_check.hpp"

#include "base/process.hpp"
#include "cli/findings.hpp"

#include <algorithm>
#include <optional>
#include <set>

namespace vigil::cli {

namespace {

bool has_module(const std::string& name, const char* type, std::size_t depth, std::size_t& files);

/// nullopt: no such file is to be read.
std::optional<StackFile> read_stack(const std::string& name, const char* type) {
    for (const char* folder : stack_folders)
        if (const auto text = base::read_small_file(name.starts_with('/') ? name : folder + name))
            return stack_file(*text, type);
    return std::nullopt;
}

bool has_line(const StackFile& file, const char* type, std::size_t depth, std::size_t& files) {
    return std::ranges::any_of(
               file.modules,
               [](const std::string& module) { return module.ends_with("pam_vigil.so"); }) ||
           std::ranges::any_of(file.includes, [&](const std::string& other) {
               return has_module(other, type, depth + 1, files);
           });
}

bool has_module(const std::string& name, const char* type, std::size_t depth, std::size_t& files) {
    if (depth > deepest_stack || ++files > most_stack_files)
        return false;
    const auto file = read_stack(name, type);
    return file && has_line(*file, type, depth, files);
}

} // namespace

AsksVigil asks_vigil(const std::string& service, const char* type) {
    // A name of the policy's is no path.
    const auto file = service.contains('/') ? std::nullopt : read_stack(service, type);
    if (!file)
        return AsksVigil::no_stack;
    std::size_t files = 1;
    return has_line(*file, type, 0, files) ? AsksVigil::yes : AsksVigil::no;
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
                                "asked there; pam-auth-update --enable vigil, or see pam_vigil(8)");
        }
    return lines;
}

} // namespace vigil::cli
