// What any plugin costs sudo: one that has nothing to ask (sudo_plugin(5), approval).

#include <sudo_plugin.h>

namespace {

int open_nothing(unsigned, sudo_conv_t, sudo_printf_t, char* const*, char* const*, int,
                 char* const*, char* const*, char* const*, const char**) noexcept {
    return 1;
}

int approve(char* const*, char* const*, char* const*, const char**) noexcept {
    return 1;
}

} // namespace

extern "C" [[gnu::visibility("default")]] approval_plugin empty_approval;
approval_plugin empty_approval{.type = SUDO_APPROVAL_PLUGIN,
                               .version = SUDO_API_VERSION,
                               .open = open_nothing,
                               .close = nullptr,
                               .check = approve,
                               .show_version = nullptr};
