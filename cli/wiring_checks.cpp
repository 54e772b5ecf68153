#include "cli/wiring_checks.hpp"

#include "base/process.hpp"
#include "base/program.hpp"
#include "cli/config_text.hpp"
#include "cli/sshd.hpp"
#include "cli/stack_check.hpp"
#include "cli/sudo_conf.hpp"

#include <array>
#include <cerrno>
#include <cstring>

#include <nlohmann/json.hpp>
#include <shadow.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

namespace vigil::cli {

namespace {

constexpr const char* sudo_conf = "/etc/sudo.conf";
constexpr const char* sudo_plugin = SUDO_PLUGINS "/vigil_approval.so";
constexpr const char* store = "/etc/credstore.encrypted/";
constexpr Seconds program_patience{5};

/// By which people log in, and by which they become somebody else; those that are here.
struct Wired {
    std::vector<std::string> asking;
    std::vector<std::string> others;
};

Wired look_through_services() {
    Wired wired;
    for (const char* service : {"sshd", "login", "su", "sudo", "polkit-1"})
        switch (asks_vigil(service, "account")) {
        case AsksVigil::yes:
            wired.asking.emplace_back(service);
            break;
        case AsksVigil::no:
            wired.others.emplace_back(service);
            break;
        case AsksVigil::no_stack:
            break;
        }
    return wired;
}

/// What sudo's own reader of sudoers(5) makes of it. nullopt: no line is about it.
Result<std::optional<bool>> use_pty_in_sudoers() {
    const auto said = base::output_of(
        {"/usr/bin/cvtsudoers", "-f", "json", "-s", "aliases,privileges", "/etc/sudoers"},
        program_patience, std::size_t{1} << 20);
    if (!said)
        return std::unexpected{said.error()};
    const auto sudoers = nlohmann::json::parse(*said, nullptr, false);
    if (sudoers.is_discarded())
        return fail(EBADMSG, "cvtsudoers");
    std::optional<bool> use_pty;
    for (const auto& line : sudoers.value("Defaults", nlohmann::json::array()))
        if (!line.contains("Binding"))
            for (const auto& option : line.value("Options", nlohmann::json::array()))
                if (const auto found = option.find("use_pty");
                    found != option.end() && found->is_boolean())
                    use_pty = found->get<bool>();
    return use_pty;
}

/// sudo(8) has it by itself since 1.9.14.
Result<bool> has_own_terminals() {
    const auto in_sudoers = use_pty_in_sudoers();
    if (!in_sudoers)
        return std::unexpected{in_sudoers.error()};
    if (*in_sudoers)
        return **in_sudoers;
    auto said = base::output_of({"/usr/bin/sudo", "-V"}, program_patience);
    if (!said)
        return std::unexpected{said.error()};
    std::string_view rest = *said; // "Sudo version 1.9.13p3"
    const auto version = rest.substr(0, rest.find('\n'));
    unsigned major = 0;
    unsigned minor = 0;
    unsigned patch = 0;
    if (std::sscanf(std::string{version}.c_str(), "Sudo version %u.%u.%u", &major, &minor, &patch) <
        3)
        return fail(EBADMSG, "sudo -V");
    return std::array{major, minor, patch} >= std::array{1U, 9U, 14U};
}

Finding finding_of_plugin(const char* check, SudoConf state) {
    const bool is_there = ::access(sudo_plugin, R_OK) == 0;
    switch (state) {
    case SudoConf::without:
        return {check, Grade::ok,
                is_there
                    ? "sudo is asked about by PAM alone (vigilctl sudo enable: by each command)"
                    : "sudo is asked about by PAM alone"};
    case SudoConf::changed:
        return {check, Grade::warning,
                std::string{"somebody has changed vigil's lines in "} + sudo_conf,
                "take all of them out by hand, with both marks; then vigilctl sudo enable"};
    case SudoConf::with:
    case SudoConf::by_hand:
        break;
    }
    if (!is_there)
        return {check, Grade::failure,
                std::string{sudo_conf} + " loads " + sudo_plugin +
                    ", which is not there: sudo runs for nobody",
                "su -c 'vigilctl sudo disable'"};
    return {check, Grade::ok, "sudo asks about each command"};
}

/// Root alone can read it; whether anybody gets in with it is also the console's affair.
Result<bool> root_has_password() {
    errno = 0;
    const spwd* const root = ::getspnam("root");
    if (!root)
        return fail(errno == 0 ? ENOENT : errno, "/etc/shadow");
    const std::string_view password = root->sp_pwdp;
    return !password.empty() && password.front() != '!' && password.front() != '*';
}

bool has_console() {
    struct stat node{};
    return ::stat("/dev/tty1", &node) == 0 || ::stat("/dev/ttyS0", &node) == 0 ||
           ::stat("/dev/hvc0", &node) == 0;
}

} // namespace

Finding look_at_pam() {
    constexpr const char* check = "pam";
    const auto wired = look_through_services();
    if (wired.asking.empty())
        return {check, Grade::failure, "PAM does not ask vigil: no login is registered",
                how_to_wire()};
    for (const char* service : {"sshd", "login"})
        if (const auto lines = whole_stack(service, "session"))
            if (const auto wrong = wrong_in_session(*lines))
                return {check, Grade::failure, std::string{service} + ": " + *wrong, how_to_wire()};
    if (!wired.others.empty())
        return {check, Grade::warning,
                joined(wired.others, ", ") + " does not ask vigil: no account line of pam_vigil.so",
                how_to_wire()};
    return {check, Grade::ok, "asks vigil for " + joined(wired.asking, ", ")};
}

Finding look_at_sshd() {
    constexpr const char* check = "sshd";
    const auto settings = sshd_settings_for(check, "no sshd is there");
    if (!settings)
        return settings.error();
    const auto use_pam = setting_of(*settings, "UsePAM");
    if (use_pam.empty())
        return {check, Grade::failure, "this sshd knows no PAM, so no login by ssh is registered",
                "an sshd that was built with PAM"};
    if (use_pam != "yes")
        return {check, Grade::failure,
                "logins by ssh do not go through PAM, so none is registered (UsePAM no)",
                "UsePAM yes in /etc/ssh/sshd_config, then systemctl reload ssh"};
    return {check, Grade::ok, "logins by ssh go through PAM (UsePAM yes)"};
}

Finding look_at_sudo() {
    constexpr const char* check = "sudo";
    if (::access("/usr/bin/sudo", F_OK) < 0)
        return {check, Grade::ok, "no sudo is there"};
    const auto text = base::read_small_file(sudo_conf);
    if (!text && text.error().code != ENOENT)
        return not_looked_at(check, text.error().text(), "sudo vigilctl doctor");
    auto finding = finding_of_plugin(check, state_of_sudo_conf(text ? *text : std::string{}));
    if (finding.grade != Grade::ok)
        return finding;
    if (::geteuid() != 0)
        return not_looked_at(check, "sudoers is root's", "sudo vigilctl doctor");
    const auto own = has_own_terminals();
    if (!own)
        return not_looked_at(check, own.error().text());
    if (!*own)
        return {check, Grade::warning,
                finding.found + ", and a command of it has its user's terminal (no use_pty): it "
                                "can read there, and type",
                "`Defaults use_pty` by visudo"};
    return finding;
}

Finding look_at_way_back() {
    constexpr const char* check = way_back_check;
    constexpr const char* mend =
        "passwd root; or see that you can set vigil.mode=observe on the kernel's command line";
    if (::geteuid() != 0)
        return not_looked_at(check, "/etc/shadow is root's", "sudo vigilctl doctor");
    const auto password = root_has_password();
    if (!password)
        return not_looked_at(check, password.error().text());
    if (!has_console())
        return {check, Grade::warning,
                "there is no console here at which root could log in whatever vigil says", mend};
    if (!*password)
        return {check, Grade::warning,
                "root has no password, so nobody can log in at the console when nothing else works",
                mend};
    return {check, Grade::ok, "root can log in at the console, whatever vigil says"};
}

Finding look_at_key() {
    constexpr const char* check = "key";
    if (::geteuid() != 0)
        return not_looked_at(check, "the key's place is root's alone", "sudo vigilctl doctor");
    for (const char* name : {"vigil.key", "vigil.key.2"}) {
        const auto path = std::string{store} + name;
        struct stat file{};
        if (::lstat((path + ".unreadable").c_str(), &file) == 0)
            return {check, Grade::failure, path + " does not open: nobody's code can be checked",
                    "bring back the key, or the TPM, that it was made with; see vigil-key.service"};
        if (::lstat(path.c_str(), &file) < 0)
            continue;
        if (!S_ISREG(file.st_mode) || file.st_uid != 0 || (file.st_mode & 077) != 0)
            return {check, Grade::warning, path + " is not root's alone",
                    "chown root: " + path + " && chmod 600 " + path};
        return {check, Grade::ok, "the key of the factors is sealed, in " + path};
    }
    return {check, Grade::failure, "there is no key, so nobody can enrol a factor",
            "systemctl start vigil-key.service && systemctl restart vigild"};
}

/// adjtimex(2). A code is of the minute in which it is typed.
Finding look_at_clock() {
    constexpr const char* check = "clock";
    timex told{};
    const int state = ::adjtimex(&told);
    if (state < 0)
        return not_looked_at(check, std::string{"adjtimex: "} + std::strerror(errno));
    if (state == TIME_ERROR || (told.status & STA_UNSYNC) != 0)
        return {check, Grade::warning,
                "nothing keeps the clock right: when it is half a minute off, codes are refused",
                "timedatectl set-ntp true; in a container, its host's clock"};
    return {check, Grade::ok, "something keeps the clock right"};
}

} // namespace vigil::cli
