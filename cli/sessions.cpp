// list, show, lock (also for a sleep), unlock, terminate.

#include "base/log.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "cli/seats.hpp"
#include "cli/select.hpp"
#include "wire/errors.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <span>
#include <thread>
#include <utility>

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace vigil::cli {

namespace {

/// Calls to vigild at one moment.
constexpr std::size_t most_at_a_time = 16;

/// Tells what went wrong, while the rest goes on.
using Note = std::function<void(Error)>;

/// A whole id needs no list, which a caller may not be allowed to see.
Result<wire::Session> look_up(const Client& client, const std::string& id) {
    if (id.size() == id_digits) {
        auto session = client.show(id);
        if (!session && exit_status(session.error()) == exit_refused)
            session.error().what = id + ": " + session.error().what;
        return session;
    }
    const auto sessions = client.list();
    if (!sessions)
        return std::unexpected{sessions.error()};
    return find_session(*sessions, id);
}

/// What a verb is to be done to.
struct Target {
    wire::Session session;
    std::string where; ///< ", at pts/3": told where the person could take it for another
};

Result<std::vector<Target>> own(const std::vector<wire::Session>& sessions, const Note& note) {
    const auto found = own_seats(sessions);
    if (!found)
        return std::unexpected{found.error()};
    std::vector<Target> targets;
    for (const auto& seat : found->seats) {
        std::string where;
        for (const auto& terminal : seat.terminals)
            where += (where.empty() ? ", at " : " and ") + terminal;
        targets.push_back({seat.session, where});
    }
    for (const auto& terminal : found->strange)
        note({ESRCH, terminal + " shows this too, and is of no session of yours: look after it "
                                "there, or see vigilctl list"});
    return targets;
}

Result<std::vector<Target>> several(const Client& client, const Selection& selection,
                                    const Note& note) {
    auto sessions = client.list();
    if (!sessions)
        return std::unexpected{sessions.error()};
    // What is elevated goes the way of its login, and has no lock of its own.
    std::erase_if(*sessions, [](const auto& session) { return !session.login.empty(); });
    if (!selection.all && selection.user.empty())
        return own(*sessions, note);
    if (!selection.all)
        std::erase_if(*sessions,
                      [&](const auto& session) { return session.user != selection.user; });
    if (!selection.all && sessions->empty())
        return fail(ESRCH, selection.user + ": no sessions of this user");
    std::vector<Target> targets;
    for (auto& session : *sessions)
        targets.push_back({std::move(session), {}});
    return targets;
}

Result<std::vector<Target>> chosen(const Client& client, const Selection& selection,
                                   const Note& note) {
    if (selection.ids.empty())
        return several(client, selection, note);
    std::vector<Target> targets;
    for (const auto& id : selection.ids) {
        const auto found = look_up(client, id);
        if (found)
            targets.push_back({*found, {}});
        else
            note(found.error());
    }
    return targets;
}

/// The session that this runs in comes behind all others, which else would not come at all: a lock
/// stops this program as well. Returns how many others there are.
std::size_t put_own_last(std::vector<Target>& targets) {
    const auto here = logind_session_of(::getpid());
    const auto around = std::ranges::stable_partition(targets, [&](const Target& target) {
        return here.empty() || target.session.logind_session != here;
    });
    return targets.size() - around.size();
}

/// Several are asked at a time: vigild holds them together.
std::vector<Result<>> ask(const Client& client, const char* method, std::span<const Target> targets,
                          const std::string& reason) {
    std::vector<Result<>> outcomes(targets.size(), fail(ECANCELED, "was not asked"));
    std::atomic<std::size_t> next{0};
    std::vector<std::jthread> askers;
    for (std::size_t i = 0; i < std::min(most_at_a_time, targets.size()); ++i)
        askers.emplace_back([&] {
            for (auto mine = next++; mine < targets.size(); mine = next++)
                outcomes[mine] = client.act(method, targets[mine].session.id, reason);
        });
    askers.clear(); // joins them
    return outcomes;
}

std::string name_of(const Target& target) {
    return target.session.id.substr(0, 8) + " of " + target.session.user;
}

/// Of a refusal to lock: whether there is nothing at the session that could be locked.
bool has_no_terminal(const Client& client, const Target& target, const Error& why) {
    if (why.code != wire::code_denied)
        return false;
    const auto now = client.show(target.session.id);
    // "locked" while it is given back.
    return now && (now->state == "active" || now->state == "locked") && now->terminals.empty() &&
           now->desktop.empty();
}

void tell(const Verb& verb, const Target& target, const Result<>& done, const Note& note) {
    if (done)
        std::printf("%s %s\n", verb.done, base::escape(name_of(target) + target.where).c_str());
    else if (exit_status(done.error()) == exit_away)
        note(done.error());
    else
        note({done.error().code, name_of(target) + ": " + done.error().what});
}

} // namespace

const std::array<Verb, 3> verbs{{
    {.name = "lock",
     .method = "Lock",
     .done = "locked",
     .help = "Lock sessions; without ID, your own.",
     .of_others = false,
     .for_sleep = true,
     .of_terminals = true},
    {.name = "unlock",
     .method = "Unlock",
     .done = "unlocked",
     .help = "Unlock sessions without their users' proof. For root.",
     .of_others = true,
     .for_sleep = false,
     .of_terminals = false,
     .refusal = "only root unlocks without a proof: open your session at its own terminal with "
                "your password or code, or ask an administrator to run `vigilctl unlock`"},
    {.name = "terminate",
     .method = "Terminate",
     .done = "terminated",
     .help = "End sessions and all they run.",
     .of_others = true,
     .for_sleep = false,
     .of_terminals = false},
}};

int list(const Context& context, bool json) {
    const Client client{context.socket};
    const auto sessions = client.list();
    if (!sessions)
        return complain(sessions.error());
    if (!json) {
        put_listing(client, session_table(*sessions, context.now, context.look));
        return 0;
    }
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const auto& listed : by_login(*sessions))
        all.push_back(to_json(listed.session, listed.elevated));
    std::fputs(json_text(all).c_str(), stdout);
    return 0;
}

int show(const Context& context, const std::string& id, bool json) {
    const Client client{context.socket};
    const auto session = look_up(client, id);
    if (!session)
        return complain(session.error());
    std::vector<wire::Session> elevated;
    if (json && session->login.empty()) {
        auto sessions = client.list();
        if (!sessions)
            return complain(sessions.error());
        elevated = std::move(*sessions);
        std::erase_if(elevated, [&](const auto& one) { return one.login != session->id; });
    }
    if (json)
        std::fputs(json_text(to_json(*session, elevated)).c_str(), stdout);
    else
        put_listing(client, session_details(*session, context.now, context.look));
    return 0;
}

int lock_for_sleep(const Context& context) {
    const auto done = Client{context.socket}.lock_for_sleep();
    return done ? 0 : complain(done.error());
}

int act(const Context& context, const Verb& verb, const Selection& selection) {
    const Client client{context.socket};
    int status = 0;
    bool refused = false;
    const Note note = [&](Error error) {
        if (verb.refusal != nullptr && error.code == wire::code_denied) {
            if (std::exchange(refused, true)) // told once, of however many sessions
                return;
            error.what = verb.refusal;
        }
        status = std::max(status, complain(error));
    };
    auto targets = chosen(client, selection, note);
    if (!targets)
        return complain(targets.error());
    if (targets->empty() && status == 0)
        std::puts("No sessions.");
    const auto others = put_own_last(*targets);
    const std::span<const Target> all{*targets};
    for (const auto part : {all.first(others), all.subspan(others)}) {
        const auto outcomes = ask(client, verb.method, part, selection.reason);
        for (std::size_t i = 0; i < part.size(); ++i) {
            if (verb.of_terminals && selection.ids.empty() && !outcomes[i] &&
                has_no_terminal(client, part[i], outcomes[i].error()))
                std::printf("left %s, which has no terminal\n",
                            base::escape(name_of(part[i])).c_str());
            else
                tell(verb, part[i], outcomes[i], note);
        }
        std::fflush(stdout);
    }
    return status;
}

} // namespace vigil::cli
