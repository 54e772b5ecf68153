// A small vigild for tests of the programs that talk to it: org.vigil1.Manager on a direct socket,
// with answers chosen on its command line, and each call told on stdout as a line.

#include "base/systemd.hpp"
#include "base/unique_fd.hpp"
#include "wire/bus_codec.hpp"
#include "wire/names.hpp"

#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <sys/socket.h>
#include <sys/un.h>

using namespace vigil;

namespace {

struct Answers {
    bool locked = true;
    bool ask_screen = false; ///< the next LockInfo says so
    std::uint64_t ends_at = 1'795'276'800'000'000;
    std::uint32_t shell = 0;
    std::uint32_t foreground = 0;
    std::vector<std::string> factors{"password", "totp"};
    std::vector<std::string> warnings;
    std::uint64_t wait = 1;
    unsigned sessions = 2;
    std::string terminal = "pts/0";     ///< of the first session
    std::string no_terminal;            ///< id of a session that cannot be locked for want of one
    std::vector<std::string> uncovered; ///< of all sessions but the first two
    std::string code = "123456";
    std::vector<std::string> refuse;  ///< methods answered with Denied
    std::vector<std::string> missing; ///< methods answered with NotFound
    std::vector<std::string> hang;    ///< methods never answered
    std::string reload_error;
};

Answers answers;
std::vector<base::Bus> connections;

wire::Session session_number(unsigned number) {
    wire::Session session;
    char id[33];
    std::snprintf(id, sizeof id, "%08x%024x", 0xabc00000U + number * 0x100U, number);
    session.id = id;
    session.user = number == 0 ? "alice" : "bob";
    session.uid = 1000 + number;
    session.service = "sshd";
    if (id != answers.no_terminal)
        session.terminals = {number == 0 ? answers.terminal : "pts/" + std::to_string(number)};
    session.remote_host = "192.0.2." + std::to_string(number + 1);
    session.logind_session = std::to_string(number + 7);
    session.leader_pid = 4200 + number;
    session.since = 1'795'262'400'000'000;
    session.idle_seconds = 75;
    session.state = number == 1 ? "locked" : "active";
    session.locked_since = number == 1 ? 1'795'262'460'000'000 : 0;
    if (number > 1)
        session.uncovered = answers.uncovered;
    session.rule = "every\x1B[31mone";
    session.idle_lock = 900;
    session.max_duration = 43'200;
    session.next_action = number == 0 ? "lock" : "";
    session.next_at = number == 0 ? 1'795'263'225'000'000 : 0;
    return session;
}

std::vector<wire::Session> all_sessions() {
    std::vector<wire::Session> sessions;
    for (unsigned i = 0; i < answers.sessions; ++i)
        sessions.push_back(session_number(i));
    return sessions;
}

wire::Factor some_factor() {
    return {.id = "00112233445566778899aabbccddeeff",
            .user = "alice",
            .uid = 1000,
            .kind = "totp",
            .name = "phone",
            .created = 1'795'262'400'000'000,
            .last_used = 0,
            .active = true};
}

int refuse(sd_bus_message* call, const char* name, const char* text) {
    return sd_bus_reply_method_errorf(call, name, "%s", text);
}

/// The answer proper; the caller sends what was filled in.
int answer(const std::string& method, const std::vector<std::string>& arguments,
           sd_bus_message* call, sd_bus_message* reply) {
    const auto known = [&](std::size_t at) {
        for (const auto& session : all_sessions()) {
            if (at < arguments.size() && session.id == arguments[at])
                return true;
        }
        return false;
    };
    Result<> filled;
    if (method == "LockInfo") {
        filled = wire::append(reply, wire::LockInfo{.locked = answers.locked,
                                                    .user = "alice",
                                                    .host = "web1.example",
                                                    .locked_by = "idle for 15 min",
                                                    .locked_since = 1'795'262'400'000'000,
                                                    .ends_at = answers.ends_at,
                                                    .factors = answers.factors,
                                                    .warnings = answers.warnings,
                                                    .ask_screen = answers.ask_screen,
                                                    .shell = answers.shell,
                                                    .foreground = answers.foreground});
        answers.ask_screen = false;
    } else if (method == "ScreenSeen") {
    } else if (method == "Unlocked") {
        answers.locked = false;
    } else if (method == "UnlockFailed") {
        if (sd_bus_message_append(reply, "t", answers.wait) < 0)
            return -1;
    } else if (method == "List") {
        filled = wire::append(reply, all_sessions());
    } else if (method == "Show") {
        if (!known(0))
            return refuse(call, wire::error_not_found, "no such session");
        for (const auto& session : all_sessions()) {
            if (session.id == arguments[0])
                filled = wire::append(reply, session);
        }
    } else if (method == "Lock" || method == "Unlock" || method == "Terminate") {
        if (!known(0))
            return refuse(call, wire::error_not_found, "no such session");
        if (method == "Lock" && arguments[0] == answers.no_terminal)
            return refuse(call, wire::error_denied, "no terminal");
    } else if (method == "Block" || method == "Unblock") {
    } else if (method == "Blocks") {
        filled = wire::append(reply, std::vector<wire::Block>{{.uid = 1000,
                                                               .user = "alice",
                                                               .reason = "gone\x1B[31m",
                                                               .by = "root",
                                                               .since = 1'795'262'400'000'000,
                                                               .until = 1'795'276'800'000'000},
                                                              {.uid = 1001,
                                                               .user = "bob",
                                                               .reason = "an inquiry",
                                                               .by = "root",
                                                               .since = 1'795'262'400'000'000}});
    } else if (method == "Status") {
        filled = wire::append(reply, wire::Status{.version = "0.1.0",
                                                  .mode = "enforce",
                                                  .policy_path = "/etc/vigil/policy.yaml",
                                                  .policy_error = answers.reload_error,
                                                  .policy_loaded = 1'795'262'400'000'000,
                                                  .started = 1'795'262'400'000'000,
                                                  .sessions = answers.sessions,
                                                  .locked = 1});
    } else if (method == "EnrollTotp") {
        filled = wire::append(reply, wire::Enrollment{.factor_id = some_factor().id,
                                                      .uri = "otpauth://totp/web1:" + arguments[0] +
                                                             "?secret=MFRGGZDF",
                                                      .secret = "MFRGGZDF"});
    } else if (method == "EnrollFinish") {
        if (arguments[1] != answers.code)
            return refuse(call, wire::error_denied, "wrong code");
    } else if (method == "Factors") {
        filled = wire::append(reply, std::vector<wire::Factor>{some_factor()});
    } else if (method == "Forget") {
        if (arguments[0] != some_factor().id)
            return refuse(call, wire::error_not_found, "no such factor");
    } else if (method == "Reload") {
        filled = wire::append_text(reply, answers.reload_error);
    } else {
        return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_UNKNOWN_METHOD, "no such method");
    }
    return filled ? sd_bus_send(nullptr, reply, nullptr) : -1;
}

bool named(const std::vector<std::string>& names, const std::string& name) {
    return std::ranges::find(names, name) != names.end();
}

int on_call(sd_bus_message* call, void*, sd_bus_error*) noexcept try {
    const std::string method = sd_bus_message_get_member(call);
    std::vector<std::string> arguments;
    while (sd_bus_message_at_end(call, 1) == 0) {
        auto argument = wire::read<std::string>(call);
        if (!argument)
            break;
        arguments.push_back(std::move(*argument));
    }
    std::printf("%s", method.c_str());
    for (const auto& argument : arguments)
        std::printf(" [%s]", argument.c_str());
    std::puts("");
    std::fflush(stdout);
    if (named(answers.hang, method))
        return 1;
    if (named(answers.refuse, method))
        return refuse(call, wire::error_denied, "only root may do that");
    if (named(answers.missing, method))
        return refuse(call, wire::error_not_found, "no such session");
    sd_bus_message* raw = nullptr;
    if (sd_bus_message_new_method_return(call, &raw) < 0)
        return -1;
    const base::BusMessage reply{raw};
    answer(method, arguments, call, reply.get());
    return 1;
} catch (...) {
    return -1;
}

int on_connection(sd_event_source* source, int listener, std::uint32_t, void*) noexcept try {
    base::UniqueFd fd{accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    sd_bus* raw = nullptr;
    sd_id128_t id{};
    if (!fd || sd_id128_randomize(&id) < 0 || sd_bus_new(&raw) < 0)
        return 0;
    base::Bus bus{raw};
    if (sd_bus_set_fd(raw, fd.get(), fd.get()) < 0)
        return 0;
    (void)fd.release();
    if (sd_bus_set_server(raw, 1, id) < 0 || sd_bus_negotiate_fds(raw, 1) < 0 ||
        sd_bus_start(raw) < 0 ||
        sd_bus_add_object(raw, nullptr, wire::manager_path, on_call, nullptr) < 0 ||
        sd_bus_attach_event(raw, sd_event_source_get_event(source), 0) < 0)
        return 0;
    connections.push_back(std::move(bus));
    return 0;
} catch (...) {
    return 0;
}

base::UniqueFd listen_on(const std::string& path) {
    base::UniqueFd fd{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    unlink(path.c_str());
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        listen(fd.get(), 16) != 0)
        return {};
    return fd;
}

} // namespace

int main(int argc, char** argv) {
    std::string socket;
    bool open = false;
    CLI::App app{"vigild's answers, for tests", "fake_vigild"};
    app.add_option("SOCKET", socket)->required();
    app.add_flag("--open", open, "not locked");
    app.add_flag("--ask-screen", answers.ask_screen);
    app.add_option("--ends-at", answers.ends_at);
    app.add_option("--shell", answers.shell);
    app.add_option("--foreground", answers.foreground);
    app.add_option("--factors", answers.factors)->delimiter(',');
    app.add_option("--warning", answers.warnings)->take_all();
    app.add_option("--wait", answers.wait);
    app.add_option("--sessions", answers.sessions);
    app.add_option("--terminal", answers.terminal);
    app.add_option("--no-terminal", answers.no_terminal);
    app.add_option("--uncovered", answers.uncovered)->take_all();
    app.add_option("--refuse", answers.refuse)->delimiter(',');
    app.add_option("--missing", answers.missing)->delimiter(',');
    app.add_option("--hang", answers.hang)->delimiter(',');
    app.add_option("--reload-error", answers.reload_error);
    CLI11_PARSE(app, argc, argv);
    answers.locked = !open;
    const auto listener = listen_on(socket);
    sd_event* raw = nullptr;
    if (!listener || sd_event_new(&raw) < 0)
        return 1;
    const base::EventLoop loop{raw};
    if (sd_event_add_io(raw, nullptr, listener.get(), EPOLLIN, on_connection, nullptr) < 0)
        return 1;
    std::puts("ready");
    std::fflush(stdout);
    return sd_event_loop(raw) < 0 ? 1 : 0;
}
