#include "pam_module/options.hpp"

#include "wire/names.hpp"

#include <string_view>

namespace vigil::pam {

Options parse_options(int argc, const char** argv) {
    Options options;
    options.socket = wire::socket_path;
    for (int i = 0; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument == "unavailable=allow")
            options.unavailable = Options::Unavailable::allow;
        else if (argument == "unavailable=deny")
            options.unavailable = Options::Unavailable::deny;
        else if (argument == "debug")
            options.debug = true;
        else if (argument == "prepare")
            options.prepare = true;
        else if (argument == "elevated")
            options.elevated = true;
        else if (argument == "after_key")
            options.after_key = true;
        else if (argument.starts_with("socket=/"))
            options.socket = argument.substr(argument.find('/'));
        else
            options.unknown.emplace_back(argument);
    }
    return options;
}

} // namespace vigil::pam
