#include "cli/sshd.hpp"

#include "base/program.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <unistd.h>

namespace vigil::cli {

namespace {

/// Where distributions have it, and who builds it himself.
constexpr std::array sshds{"/usr/sbin/sshd", "/usr/local/sbin/sshd"};
/// It may have to look names up (ListenAddress).
constexpr Seconds sshd_patience{5};

} // namespace

std::optional<std::string> sshd_program() {
    const auto* const sshd = std::ranges::find_if(
        sshds, [](const char* path) { return ::access(path, F_OK) == 0 || errno != ENOENT; });
    return sshd == sshds.end() ? std::nullopt : std::optional<std::string>{*sshd};
}

Result<std::string> sshd_settings(const std::string& program) {
    return base::output_of({program.c_str(), "-T"}, sshd_patience);
}

std::expected<std::string, Finding> sshd_settings_for(const char* check, const char* without) {
    const auto sshd = sshd_program();
    if (!sshd)
        return std::unexpected{Finding{check, Grade::ok, without}};
    if (::geteuid() != 0)
        return std::unexpected{
            not_looked_at(check, "sshd tells root alone", "sudo vigilctl doctor")};
    auto settings = sshd_settings(*sshd);
    if (!settings)
        return std::unexpected{
            not_looked_at(check, settings.error().text(), "see what is wrong: " + *sshd + " -T")};
    return std::move(*settings);
}

} // namespace vigil::cli
