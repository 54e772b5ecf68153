// list, show, lock, unlock, terminate.

#include "base/log.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "cli/select.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include <nlohmann/json.hpp>
#include <systemd/sd-login.h>
#include <unistd.h>

namespace vigil::cli {

namespace {

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

/// logind's id of the session this process is in.
std::optional<std::string> own_logind_session() {
    char* text = nullptr;
    if (sd_pid_get_session(0, &text) < 0)
        return std::nullopt;
    const std::unique_ptr<char, decltype(&std::free)> owner{text, std::free};
    return text;
}

Result<std::vector<wire::Session>> own(const std::vector<wire::Session>& sessions) {
    const auto id = own_logind_session();
    if (!id)
        return fail(ESRCH, "this process is in no session: name one, see vigilctl list");
    for (const auto& session : sessions) {
        if (session.logind_session == *id)
            return std::vector{session};
    }
    return fail(ESRCH, "vigild does not know session " + *id + ": vigilctl list");
}

Result<std::vector<wire::Session>> several(const Client& client, const Selection& selection) {
    auto sessions = client.list();
    if (!sessions || selection.all)
        return sessions;
    if (selection.user.empty())
        return own(*sessions);
    std::erase_if(*sessions, [&](const auto& session) { return session.user != selection.user; });
    if (sessions->empty())
        return fail(ESRCH, selection.user + ": no sessions of this user");
    return sessions;
}

} // namespace

const std::array<Verb, 3> verbs{{
    {"lock", "Lock", "locked", "Lock sessions; without ID, your own.", false},
    {"unlock", "Unlock", "unlocked", "Unlock sessions without their users' proof.", true},
    {"terminate", "Terminate", "terminated", "End sessions and all they run.", true},
}};

int list(const Context& context, bool json) {
    const auto sessions = Client{context.socket}.list();
    if (!sessions)
        return complain(sessions.error());
    if (!json) {
        std::fputs(session_table(*sessions, context.now, context.look).c_str(), stdout);
        return 0;
    }
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const auto& session : *sessions)
        all.push_back(to_json(session));
    std::fputs(json_text(all).c_str(), stdout);
    return 0;
}

int show(const Context& context, const std::string& id, bool json) {
    const auto session = look_up(Client{context.socket}, id);
    if (!session)
        return complain(session.error());
    const std::string text =
        json ? json_text(to_json(*session)) : session_details(*session, context.now, context.look);
    std::fputs(text.c_str(), stdout);
    return 0;
}

int act(const Context& context, const Verb& verb, const Selection& selection) {
    const Client client{context.socket};
    std::vector<wire::Session> targets;
    int status = 0;
    const auto note = [&status](const Error& error) { status = std::max(status, complain(error)); };
    if (selection.ids.empty()) {
        auto chosen = several(client, selection);
        if (!chosen)
            return complain(chosen.error());
        targets = std::move(*chosen);
    }
    for (const auto& id : selection.ids) {
        const auto found = look_up(client, id);
        if (found)
            targets.push_back(*found);
        else
            note(found.error());
    }
    if (targets.empty() && status == 0)
        std::puts("No sessions.");
    for (const auto& session : targets) {
        auto done = client.act(verb.method, session.id, selection.reason);
        const std::string name = session.id.substr(0, 8) + " of " + session.user;
        if (done)
            std::printf("%s %s\n", verb.done, base::escape(name).c_str());
        else if (exit_status(done.error()) == exit_away)
            note(done.error());
        else
            note({done.error().code, name + ": " + done.error().what});
    }
    return status;
}

} // namespace vigil::cli
