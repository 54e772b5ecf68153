// Holds a session of logind's at its terminals, lets it go, and shows both, without vigild: for the
// host tests of daemon/enforce.
//   hold list | hold hold SESSION STATE | hold release SESSION STATE | hold say SESSION LINE
//   hold new SECONDS
// STATE is a file that plays the store's part: one saved terminal a line.

#include "base/hex.hpp"
#include "daemon/enforce/activity.hpp"
#include "daemon/enforce/lock.hpp"
#include "daemon/enforce/logind.hpp"

#include <fstream>
#include <iostream>
#include <sstream>
#include <string_view>

using namespace vigil;

namespace {

std::vector<core::SavedTerminal> read_state(const std::string& path) {
    std::vector<core::SavedTerminal> saved;
    std::ifstream file{path};
    for (std::string line; std::getline(file, line);) {
        std::istringstream words{line};
        core::SavedTerminal terminal;
        std::string settings;
        words >> terminal.path >> terminal.device >> settings >> terminal.uid >> terminal.gid >>
            terminal.mode;
        terminal.settings = base::hex_decode(settings).value_or("");
        // The last line of a terminal counts: it was saved again.
        std::erase_if(saved, [&](const auto& one) { return one.path == terminal.path; });
        saved.push_back(std::move(terminal));
    }
    return saved;
}

Result<> append_state(const std::string& path, const core::SavedTerminal& terminal) {
    std::ofstream file{path, std::ios::app};
    file << terminal.path << ' ' << terminal.device << ' ' << base::hex_encode(terminal.settings)
         << ' ' << terminal.uid << ' ' << terminal.gid << ' ' << terminal.mode << '\n';
    file.close();
    if (!file)
        return fail("writing " + path);
    return {};
}

int failed(const Error& error) {
    std::cerr << error.text() << '\n';
    return 1;
}

int list() {
    const auto sessions = enforce::logind_sessions();
    if (!sessions)
        return failed(sessions.error());
    for (const auto& session : *sessions) {
        std::cout << session.id << ' ' << session.user << ' ' << session.service << ' '
                  << session.leader.pid << ' ' << session.scope << ' '
                  << session.since.time_since_epoch().count() << ' ' << session.type;
        const auto terminals = enforce::find_terminals(session.scope, session.leader.pid);
        if (!terminals)
            return failed(terminals.error());
        for (const auto& terminal : *terminals)
            std::cout << ' ' << terminal.path;
        std::cout << '\n';
    }
    return 0;
}

int hold(const enforce::LockTarget& target, const std::string& state) {
    const auto report =
        enforce::hold(target, read_state(state), [&](const core::SavedTerminal& terminal) {
            return append_state(state, terminal);
        });
    std::cout << (report.held ? "held" : "not held") << '\n';
    if (!report.detail.empty())
        std::cout << "detail " << report.detail << '\n';
    for (const auto& terminal : report.terminals)
        std::cout << "terminal " << terminal.path << '\n';
    for (const auto& holder : report.foreign)
        std::cout << "foreign " << holder.pid << ' ' << holder.command << ' ' << holder.uid << ' '
                  << holder.path << '\n';
    return report.held ? 0 : 1;
}

int say(const enforce::LockTarget& target, const std::string& line) {
    const auto terminals = enforce::find_terminals(target.scope, target.leader);
    if (!terminals)
        return failed(terminals.error());
    for (const auto& terminal : *terminals)
        if (const auto said = enforce::say(terminal, line); !said)
            return failed(said.error());
    return 0;
}

/// Prints new terminals and whose they are, for so many seconds.
int watch_new(std::uint64_t seconds) {
    sd_event* raw = nullptr;
    if (const int r = sd_event_new(&raw); r < 0)
        return failed({-r, "making a loop"});
    const base::EventLoop loop{raw};
    const auto watch = enforce::ActivityWatch::create(
        loop.get(),
        {.new_terminal = [](const std::string& path,
                            uid_t uid) { std::cout << path << ' ' << uid << std::endl; },
         .used = [](const enforce::Terminal&, const enforce::Activity&) {}},
        {});
    if (!watch)
        return failed(watch.error());
    sd_event_add_time_relative(loop.get(), nullptr, CLOCK_BOOTTIME, seconds * 1'000'000, 0, nullptr,
                               nullptr);
    std::cout << "watching" << std::endl;
    return sd_event_loop(loop.get());
}

} // namespace

int main(int argc, char** argv) {
    const std::string_view verb = argc > 1 ? argv[1] : "";
    if (verb == "list")
        return list();
    if (verb == "new" && argc == 3)
        return watch_new(std::stoull(argv[2]));
    if (argc != 4)
        return 2;
    const auto session = enforce::logind_session(argv[2]);
    if (!session)
        return failed(session.error());
    const enforce::LockTarget target{.scope = session->scope, .leader = session->leader.pid};
    if (verb == "hold")
        return hold(target, argv[3]);
    if (verb == "say")
        return say(target, argv[3]);
    if (verb != "release")
        return 2;
    const auto released = enforce::release(target, read_state(argv[3]));
    return released ? 0 : failed(released.error());
}
