// vigild: arguments, the parts, the loop. See vigild(8).

#include "base/c_string.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/process.hpp"
#include "daemon/bus/server.hpp"
#include "daemon/bus/system_bus.hpp"
#include "daemon/factors/credential.hpp"
#include "policy/load.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include <getopt.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

namespace {

using namespace vigil;

struct Arguments {
    std::string policy = policy::default_path;
    std::string runtime = "/run/vigil";
    std::string state = "/var/lib/vigil";
    bool system_bus = true;
};

constexpr const char* usage =
    "usage: vigild [--policy FILE] [--runtime DIR] [--state DIR] [--no-system-bus] [--debug]\n";

/// Ends the program on --version and on a mistake.
Arguments parse(int argc, char** argv) {
    constexpr option options[] = {{"policy", required_argument, nullptr, 'p'},
                                  {"runtime", required_argument, nullptr, 'r'},
                                  {"state", required_argument, nullptr, 's'},
                                  {"no-system-bus", no_argument, nullptr, 'n'},
                                  {"debug", no_argument, nullptr, 'd'},
                                  {"version", no_argument, nullptr, 'v'},
                                  {nullptr, 0, nullptr, 0}};
    Arguments arguments;
    for (int chosen; (chosen = getopt_long(argc, argv, "", options, nullptr)) != -1;)
        switch (chosen) {
        case 'p':
            arguments.policy = optarg;
            break;
        case 'r':
            arguments.runtime = optarg;
            break;
        case 's':
            arguments.state = optarg;
            break;
        case 'n':
            arguments.system_bus = false;
            break;
        case 'd':
            base::set_log_level(base::Level::debug);
            break;
        case 'v':
            std::puts("vigild " VIGIL_VERSION);
            std::exit(EXIT_SUCCESS);
        default:
            std::fputs(usage, stderr);
            std::exit(EX_USAGE);
        }
    if (optind != argc) {
        std::fputs(usage, stderr);
        std::exit(EX_USAGE);
    }
    return arguments;
}

struct Opened {
    store::RuntimeStore store;
    std::string trouble; ///< what `vigilctl status` says of it; empty: none
};

/// Open, and every row of it makes sense.
Result<store::RuntimeStore> open_whole(const std::string& path) {
    auto opened = store::RuntimeStore::open(path);
    if (!opened)
        return opened;
    if (const auto sessions = opened->sessions(); !sessions)
        return std::unexpected{sessions.error()};
    if (const auto grants = opened->grants(); !grants)
        return std::unexpected{grants.error()};
    if (const auto logins = opened->remembered(); !logins)
        return std::unexpected{logins.error()};
    if (const auto blocks = opened->blocks(); !blocks)
        return std::unexpected{blocks.error()};
    return opened;
}

/// It is the place that does not work: another file there would not, either.
bool is_about_the_place(const Error& error) {
    for (const int code : {EROFS, EACCES, EPERM, ENOSPC, EDQUOT, ENOENT, ENOTDIR, ENOMEM, EMFILE})
        if (error.code == code)
            return true;
    return false;
}

/// A store that cannot be read is put aside, loudly; logind's sessions are then adopted, so that
/// limits still hold, counted from logind's own start times.
Opened open_store(const std::string& path) {
    auto opened = open_whole(path);
    if (opened)
        return {std::move(*opened), {}};
    const auto error = opened.error();
    if (error.code == EBUSY) // its sessions are watched by whoever has it open
        throw std::runtime_error{"another vigild runs: " + error.text()};
    if (!is_about_the_place(error)) {
        base::log(base::Level::error, "the state in " + path + " cannot be used: " + error.text());
        const auto aside = store::RuntimeStore::set_aside(path);
        if (auto fresh = open_whole(path); aside && fresh) {
            const auto what = "it was moved to " + *aside + "; starting anew";
            base::log(base::Level::warning, what);
            return {std::move(*fresh), error.text() + "; " + what};
        }
    }
    base::log(base::Level::error,
              "no state can be kept in " + path +
                  ", limits will not survive a restart of vigild: " + error.text());
    auto in_memory = store::RuntimeStore::open(":memory:");
    if (!in_memory)
        throw std::runtime_error{in_memory.error().text()};
    return {std::move(*in_memory), "no state can be kept in " + path + ": " + error.text()};
}

/// Where there are two keys a rekey was stopped between its steps: one of them opens the database.
Result<factors::Factors> open_factors(const std::string& path) {
    auto keys = factors::load_keys();
    if (!keys)
        return std::unexpected{keys.error()};
    char host[256] = {};
    gethostname(host, sizeof host - 1);
    for (auto& [name, key] : *keys) {
        auto opened = factors::Factors::open(path, std::move(key), host, name);
        if (opened && keys->size() > 1)
            base::log(base::Level::warning, "a rekey was not finished, " + name +
                                                " is in use: `vigilctl rekey` does it anew");
        if (opened || opened.error().code != EBADMSG || name == keys->back().name)
            return opened;
    }
    return fail(ENOENT, "no key");
}

/// What PID 1 handed over: the listening socket, and what the last vigild left with it.
struct Inherited {
    base::UniqueFd listener;
    enforce::ActivityQueues queues;
};

Inherited take_inherited() {
    Inherited inherited;
    char** raw = nullptr;
    const int count = sd_listen_fds_with_names(1, &raw);
    const base::CStringList names{raw};
    for (int i = 0; i < count; ++i) {
        base::UniqueFd fd{SD_LISTEN_FDS_START + i};
        const base::CString owned{names.get()[i]};
        const std::string_view name = owned.get();
        if (name == shell::input_queue_name)
            inherited.queues.inputs = std::move(fd);
        else if (name == shell::output_queue_name)
            inherited.queues.outputs = std::move(fd);
        else
            inherited.listener = std::move(fd);
    }
    return inherited;
}

/// They outlive a kill -9 there; PID 1 knows a descriptor that it has already.
void leave_with_pid1(const shell::Shell& shell) {
    for (const auto& [name, fd] : shell.kept_descriptors())
        sd_pid_notify_with_fds(0, 0, ("FDSTORE=1\nFDNAME=" + std::string{name}).c_str(), &fd, 1);
}

struct Reloader {
    shell::Shell* shell;
    shell::PolicyKeeper* keeper;
};

int on_hangup(sd_event_source*, const signalfd_siginfo*, void* userdata) noexcept {
    try {
        const auto& reloader = *static_cast<Reloader*>(userdata);
        auto loaded = reloader.keeper->reload(base::read_clocks().wall);
        if (loaded)
            reloader.shell->dispatch(core::PolicyChanged{std::move(*loaded)});
        else
            base::log(base::Level::error,
                      "the policy is broken, the old one stays: " + loaded.error().text());
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
    }
    return 0;
}

void block_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP})
        sigaddset(&signals, signal);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGCHLD, SIG_IGN); // nobody waits for a child (enforce/hung_children.hpp)
}

int run(const Arguments& arguments) {
    sd_event* raw = nullptr;
    if (const int r = sd_event_default(&raw); r < 0)
        throw std::runtime_error{Error{-r, "making the event loop"}.text()};
    const base::EventLoop loop{raw};

    shell::PolicyKeeper keeper{arguments.policy, arguments.state, arguments.runtime,
                               base::read_small_file("/proc/cmdline").value_or(std::string{})};
    auto policy = keeper.start(base::read_clocks().wall);
    auto inherited = take_inherited();
    auto store = open_store(arguments.runtime + "/state.db");
    shell::Shell shell{raw,
                       std::move(store.store),
                       std::move(policy),
                       std::move(inherited.queues),
                       store::BlockFiles{arguments.runtime, arguments.state},
                       std::move(store.trouble)};
    leave_with_pid1(shell);

    auto opened = open_factors(arguments.state + "/factors.db");
    if (!opened)
        base::log(base::Level::error,
                  "no factor can be checked, step-up is refused: " + opened.error().text());
    bus::Api api{shell, keeper, opened ? &*opened : nullptr,
                 opened ? std::string{} : opened.error().text()};

    auto listening = inherited.listener ? Result<base::UniqueFd>{std::move(inherited.listener)}
                                        : bus::DirectServer::listen_at(arguments.runtime + "/bus");
    if (!listening)
        throw std::runtime_error{listening.error().text()};
    const auto server = bus::DirectServer::create(raw, api, std::move(*listening));
    if (!server)
        throw std::runtime_error{server.error().text()};
    std::unique_ptr<bus::SystemBus> system_bus;
    if (arguments.system_bus) {
        shell.use_service_manager();
        system_bus = std::make_unique<bus::SystemBus>(raw, api, shell);
    }

    Reloader reloader{&shell, &keeper};
    sd_event_add_signal(raw, nullptr, SIGTERM, nullptr, nullptr);
    sd_event_add_signal(raw, nullptr, SIGINT, nullptr, nullptr);
    sd_event_add_signal(raw, nullptr, SIGHUP, on_hangup, &reloader);
    shell.start();
    if (keeper.observes_only())
        shell.dispatch(core::ObservesByWord{});
    api.lapse_tickets();
    sd_event_set_watchdog(raw, 1);
    sd_notify(0, "READY=1");
    const int r = sd_event_loop(raw);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

} // namespace

int main(int argc, char** argv) {
    const auto arguments = parse(argc, argv);
    umask(0077);
    // Nothing of a secret goes into a core file, and nobody of the same uid looks in.
    prctl(PR_SET_DUMPABLE, 0);
    block_signals();
    try {
        return run(arguments);
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string{"vigild cannot start: "} + error.what());
        return EX_UNAVAILABLE;
    }
}
