#include "cli/seats.hpp"

#include "base/c_string.hpp"
#include "base/process.hpp"
#include "base/pty.hpp"

#include <algorithm>
#include <cstdlib>

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <systemd/sd-login.h>
#include <unistd.h>

namespace vigil::cli {

namespace {

constexpr const char* refusal =
    "it cannot be told at which terminal you are: name its session, as in `vigilctl lock ID`; "
    "`vigilctl list` shows them";

std::string name_of(dev_t terminal) {
    if (const auto index = base::pty_index(terminal))
        return "pts/" + std::to_string(*index);
    return "terminal " + std::to_string(major(terminal)) + ":" + std::to_string(minor(terminal));
}

const wire::Session* session_at(const std::vector<wire::Session>& sessions,
                                const Surroundings& host, dev_t terminal) {
    for (const auto& session : sessions)
        for (const auto& name : session.terminals)
            if (host.device(name) == terminal)
                return &session;
    return nullptr;
}

const wire::Session* session_named(const std::vector<wire::Session>& sessions,
                                   const std::string& logind_session) {
    const auto found = std::ranges::find(sessions, logind_session, &wire::Session::logind_session);
    return logind_session.empty() || found == sessions.end() ? nullptr : &*found;
}

/// One that has no terminals, as a desktop, whose emulators made the one that is asked about.
const wire::Session* bare_session(const std::vector<wire::Session>& sessions,
                                  const Surroundings& host, const Place& place) {
    if (place.process == 0 && host.is_in_screen)
        return nullptr;
    const auto* const session = session_named(sessions, host.started_in(place.process));
    return session != nullptr && session->terminals.empty() ? session : nullptr;
}

void add(Seats& found, const wire::Session& session, const Place& place) {
    auto seat =
        std::ranges::find(found.seats, session.id, [](const Seat& one) { return one.session.id; });
    if (seat == found.seats.end())
        seat = found.seats.insert(seat, {session, {}});
    if (place.process != 0)
        seat->terminals.push_back(name_of(place.terminal));
}

dev_t device_of(const std::string& terminal) {
    struct stat node{};
    const bool is_there = ::stat(("/dev/" + terminal).c_str(), &node) == 0 && S_ISCHR(node.st_mode);
    return is_there ? node.st_rdev : 0;
}

} // namespace

std::string logind_session_of(pid_t pid) {
    char* text = nullptr;
    if (::sd_pid_get_session(pid, &text) < 0)
        return {};
    const base::CString owner{text};
    return text;
}

Result<Seats> find_seats(const std::vector<wire::Session>& sessions, const Surroundings& host) {
    Seats found;
    if (host.terminal == 0) {
        const std::string id = host.started_in(0);
        if (id.empty())
            return fail(ESRCH, "this process is in no session: name one, see vigilctl list");
        const auto* const session = session_named(sessions, id);
        if (session == nullptr)
            return fail(ESRCH, "vigild does not know session " + id + ": vigilctl list");
        add(found, *session, {});
        return found;
    }
    // From each terminal to those that show it, until one is a session's.
    std::vector<Place> places{{host.terminal, 0}};
    for (std::size_t at = 0; at < places.size(); ++at) {
        const Place place = places[at];
        if (const auto* const session = session_at(sessions, host, place.terminal)) {
            add(found, *session, place);
            continue;
        }
        bool is_shown = false;
        for (const auto& relay : host.relays) {
            if (!std::ranges::count(relay.made, place.terminal))
                continue;
            is_shown = true;
            for (const auto& next : relay.places)
                if (!std::ranges::count(places, next.terminal, &Place::terminal))
                    places.push_back(next);
        }
        if (is_shown)
            continue;
        if (const auto* const session = bare_session(sessions, host, place))
            add(found, *session, place);
        else
            found.strange.push_back(name_of(place.terminal));
    }
    if (found.seats.empty())
        return fail(ESRCH, refusal);
    return found;
}

Result<Seats> own_seats(const std::vector<wire::Session>& sessions) {
    const auto self = base::read_process_stat(::getpid());
    if (!self)
        return std::unexpected{self.error()};
    Surroundings host{.terminal = self->terminal,
                      .relays = {},
                      .is_in_screen =
                          std::getenv("STY") != nullptr || std::getenv("TMUX") != nullptr,
                      .device = device_of,
                      .started_in = logind_session_of};
    if (host.terminal != 0 && session_at(sessions, host, host.terminal) == nullptr)
        host.relays = read_relays();
    return find_seats(sessions, host);
}

} // namespace vigil::cli
