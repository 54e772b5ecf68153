// sudo: whether sudo(8) asks vigil about each command. Who gets this wrong is without sudo, so each
// change is proved by running it, and taken back if that fails.

#include "base/log.hpp"
#include "base/process.hpp"
#include "base/program.hpp"
#include "base/unique_fd.hpp"
#include "base/whole_file.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "cli/sudo_conf.hpp"
#include "wire/errors.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>

#include <dlfcn.h>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vigil::cli {

namespace {

const std::string conf = "/etc/sudo.conf";
const std::string sudo = "/usr/bin/sudo";
const std::string plugin = SUDO_PLUGINS "/vigil_approval.so";
constexpr mode_t usual_mode = 0644;
constexpr Seconds sudo_patience{10};
/// What the plugin says of itself when root asks sudo for its version.
constexpr std::string_view plugin_version = "vigil approval plugin";

struct Conf {
    std::string text;
    mode_t mode = usual_mode;
    bool is_there = false;
};

Result<Conf> read_conf() {
    struct stat node{};
    if (::lstat(conf.c_str(), &node) < 0)
        return errno == ENOENT ? Result<Conf>{Conf{}} : fail(errno, "looking at " + conf);
    if (!S_ISREG(node.st_mode))
        return fail(EINVAL, conf + " is no file but a link or the like: put `" +
                                std::string{sudo_conf_line} + "` where it leads to, by hand");
    auto text = base::read_small_file(conf);
    if (!text)
        return std::unexpected{text.error()};
    return Conf{.text = std::move(*text), .mode = node.st_mode & 07777, .is_there = true};
}

const char* word_of(SudoConf state) noexcept {
    switch (state) {
    case SudoConf::without:
        return "without";
    case SudoConf::with:
        return "with";
    case SudoConf::changed:
        return "changed";
    case SudoConf::by_hand:
        break;
    }
    return "by-hand";
}

Result<> write_conf(const Conf& what) {
    if (what.is_there)
        return base::write_whole(conf, what.text, what.mode);
    return ::unlink(conf.c_str()) < 0 && errno != ENOENT ? fail(errno, "removing " + conf)
                                                         : Result<>{};
}

/// Whether sudo runs, and with vigil's plugin in it. Errors: what sudo says of why not.
Result<bool> sudo_has_plugin() {
    const auto said = base::output_of({sudo, "-V"}, sudo_patience);
    if (!said)
        return std::unexpected{said.error()};
    return said->contains(plugin_version);
}

/// In this process, which ends soon: with a file that nobody can load in `sudo.conf` a kill before
/// it is put back would leave nobody a sudo.
Result<> can_be_loaded() {
    if (::dlopen(plugin.c_str(), RTLD_LAZY | RTLD_LOCAL) != nullptr)
        return {};
    const char* const why = ::dlerror();
    return fail("nobody can load " + (why != nullptr ? std::string{why} : plugin));
}

/// As root, on whom a rule may be as well: a refusal of vigil's own is sudo at work.
Result<> sudo_runs() {
    const auto done = base::output_of({sudo, "-n", "--", "/bin/true"}, sudo_patience);
    if (done || done.error().what.contains("vigil: "))
        return {};
    return std::unexpected{done.error()};
}

/// `did_run`: it ran before the change, so that it is the change's doing where it does not now.
Result<> prove(bool did_run) {
    const auto has = sudo_has_plugin();
    if (!has)
        return std::unexpected{has.error()};
    if (!*has)
        return fail("sudo does not load the plugin");
    return did_run ? sudo_runs() : Result<>{};
}

/// For as long as it lives nothing a person or a lost connection does stops this between a change
/// and its proof. What was sent meanwhile comes at its end.
class Undisturbed {
public:
    Undisturbed() noexcept {
        sigset_t signals;
        sigemptyset(&signals);
        for (const int one : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE})
            sigaddset(&signals, one);
        ::pthread_sigmask(SIG_BLOCK, &signals, &before_);
    }
    Undisturbed(const Undisturbed&) = delete;
    Undisturbed& operator=(const Undisturbed&) = delete;
    ~Undisturbed() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

/// Held until it is closed, so that no two change the file at a time.
Result<base::UniqueFd> take_turn() {
    if (geteuid() != 0)
        return fail(wire::code_denied, "sudo is changed by root alone");
    // Of a file that others can open anybody could keep root from it.
    base::UniqueFd file{::open("/run/vigilctl-sudo.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
                               S_IRUSR | S_IWUSR)};
    if (!file)
        return fail(errno, "opening /run/vigilctl-sudo.lock");
    if (::flock(file.get(), LOCK_EX | LOCK_NB) < 0)
        return fail(errno, "another vigilctl is changing " + conf + ": wait until it is done");
    return file;
}

/// Leaves all as it was where sudo does not stand the change.
int put_in(const Conf& before, const Conf& after) {
    const Undisturbed until_proved;
    const bool did_run = sudo_runs().has_value();
    if (const auto written = write_conf(after); !written)
        return complain(written.error());
    const auto proved = prove(did_run);
    if (proved) {
        std::puts("From now on sudo asks vigil about each command. `vigilctl sudo disable` takes "
                  "that back.");
        return 0;
    }
    const auto restored = write_conf(before);
    complain({0, "sudo does not run with that: " + proved.error().text()});
    if (!restored)
        return complain(restored.error());
    return complain({0, conf + " is as it was"});
}

/// Nothing is put back here: without vigil's lines sudo is no worse than with them.
int take_out(const Conf& after) {
    if (const auto written = write_conf(after); !written)
        return complain(written.error());
    const auto has = sudo_has_plugin();
    if (!has)
        return complain({0, "vigil's lines are out of " + conf +
                                ", and sudo does not run: " + has.error().text()});
    if (*has)
        return complain({0, "vigil's lines are out of " + conf +
                                ", and something else has sudo load the plugin"});
    std::puts("sudo does not ask vigil any more.");
    return 0;
}

/// What is in the way of any change; nullopt: nothing.
std::optional<Error> obstacle(SudoConf state) {
    if (::access(sudo.c_str(), X_OK) < 0)
        return Error{0, "there is no " + sudo};
    if (state == SudoConf::changed)
        return Error{0, "somebody has changed vigil's lines in " + conf +
                            ": take all of them out by hand, with both marks"};
    if (state == SudoConf::by_hand)
        return Error{0,
                     "a line in " + conf +
                         " loads the plugin already, and is not vigilctl's: take it out by hand"};
    return std::nullopt;
}

} // namespace

int enable_sudo(const Context& context, Unavailable unavailable) {
    const auto turn = take_turn();
    if (!turn)
        return complain(turn.error());
    const auto before = read_conf();
    if (!before)
        return complain(before.error());
    const auto state = state_of_sudo_conf(before->text);
    if (const auto in_the_way = obstacle(state))
        return complain(*in_the_way);
    if (::access(plugin.c_str(), R_OK) < 0)
        return complain({0, "there is no " + plugin + ": install vigil's plugin for sudo"});
    if (const auto answers = Client{context.socket}.status();
        !answers && unavailable == Unavailable::deny)
        return complain({answers.error().code,
                         "vigild does not answer, and without it nobody but root could use sudo "
                         "then: " +
                             answers.error().what});
    if (state == SudoConf::with) {
        std::puts("sudo asks vigil about each command already.");
        return 0;
    }
    if (const auto loaded = can_be_loaded(); !loaded)
        return complain(loaded.error());
    return put_in(
        *before,
        {.text = with_vigil(before->text, unavailable), .mode = before->mode, .is_there = true});
}

int disable_sudo(const Context&) {
    const auto turn = take_turn();
    if (!turn)
        return complain(turn.error());
    const auto before = read_conf();
    if (!before)
        return complain(before.error());
    const auto state = state_of_sudo_conf(before->text);
    if (const auto in_the_way = obstacle(state))
        return complain(*in_the_way);
    if (state == SudoConf::without) {
        std::puts("sudo does not ask vigil.");
        return 0;
    }
    auto rest = without_vigil(before->text);
    const bool stays = !rest.empty();
    return take_out({.text = std::move(rest), .mode = before->mode, .is_there = stays});
}

int sudo_status(const Context&, bool json) {
    const auto now = read_conf();
    if (!now)
        return complain(now.error());
    const auto state = state_of_sudo_conf(now->text);
    const auto has = sudo_has_plugin();
    if (json) {
        const nlohmann::json said{{"conf", word_of(state)},
                                  {"loaded", has ? nlohmann::json(*has) : nullptr},
                                  {"error", has ? nullptr : nlohmann::json(has.error().text())}};
        std::puts(said.dump(2).c_str());
        return has ? 0 : exit_refused;
    }
    if (!has)
        return complain({0, "sudo does not run: " + has.error().text()});
    std::puts(*has ? "sudo asks vigil about each command." : "sudo does not ask vigil.");
    if (state == SudoConf::by_hand)
        std::puts(("A line in " + conf + " loads the plugin that is not vigilctl's.").c_str());
    return 0;
}

} // namespace vigil::cli
