// At which terminals the person is who types.

#include "cli/seats.hpp"
#include "tests/unit/test.hpp"

#include <map>

#include <sys/sysmacros.h>

using namespace vigil;

namespace {

constexpr unsigned pty_major = 136;
constexpr pid_t client = 500;

dev_t pts(unsigned number) {
    return makedev(pty_major, number);
}

wire::Session session(const std::string& id, std::vector<std::string> terminals) {
    wire::Session one;
    one.id = id;
    one.logind_session = "of " + id;
    one.terminals = std::move(terminals);
    return one;
}

const std::vector<wire::Session> sessions{session("a", {"pts/1"}), session("b", {"pts/2", "tty3"}),
                                          session("desktop", {})};

/// Of a process at pts/`number`, started in session a, or as `started_in` says.
cli::Surroundings at(dev_t terminal, std::vector<cli::Relay> relays = {},
                     std::map<pid_t, std::string> started_in = {{0, "of a"}}) {
    return {.terminal = terminal,
            .relays = std::move(relays),
            .is_in_screen = false,
            .device =
                [](const std::string& name) {
                    if (name == "tty3")
                        return makedev(4, 3);
                    return pts(static_cast<unsigned>(std::stoul(name.substr(4))));
                },
            .started_in =
                [=](pid_t pid) {
                    const auto found = started_in.find(pid);
                    return found == started_in.end() ? std::string{} : found->second;
                }};
}

/// "a; b at pts/2 pts/3; not pts/9", or what the error says.
std::string found(const cli::Surroundings& host) {
    const auto seats = cli::find_seats(sessions, host);
    if (!seats)
        return seats.error().what;
    std::string text;
    for (const auto& [session, terminals] : seats->seats) {
        text += (text.empty() ? "" : "; ") + session.id + (terminals.empty() ? "" : " at");
        for (const auto& terminal : terminals)
            text += " " + terminal;
    }
    for (const auto& terminal : seats->strange)
        text += "; not " + terminal;
    return text;
}

bool refused(const cli::Surroundings& host) {
    const std::string text = found(host);
    return text.starts_with("it cannot be told") && text.contains("vigilctl list") &&
           text.contains("vigilctl lock ID");
}

START_TEST(a_terminal_of_a_session_is_that_session) {
    ck_assert(found(at(pts(1))) == "a");
    // Wherever the process was started.
    ck_assert(found(at(pts(2))) == "b");
    ck_assert(found(at(makedev(4, 3))) == "b");
}
END_TEST

START_TEST(without_a_terminal_it_is_the_session_it_was_started_in) {
    ck_assert(found(at(0)) == "a");
    ck_assert(found(at(0, {}, {})).starts_with("this process is in no session"));
    ck_assert(found(at(0, {}, {{0, "9"}})).starts_with("vigild does not know session 9"));
}
END_TEST

START_TEST(what_is_shown_elsewhere_is_there) {
    ck_assert(found(at(pts(7), {{{pts(7)}, {{pts(2), client}}}})) == "b at pts/2");
    // sudo in script in tmux, seen at two terminals.
    ck_assert(found(at(pts(9), {{{pts(7), pts(8)}, {{pts(2), client}, {pts(1), client}}},
                                {{pts(9)}, {{pts(8), client}}}})) == "b at pts/2; a at pts/1");
}
END_TEST

START_TEST(what_is_shown_nowhere_or_by_whom_nobody_knows_is_refused) {
    ck_assert(refused(at(pts(7))));
    ck_assert(refused(at(pts(7), {{{pts(7)}, {}}})));
    ck_assert(refused(at(pts(7), {{{pts(6)}, {{pts(2), client}}}})));
    ck_assert(refused(at(pts(7), {{{pts(7)}, {{pts(6), client}}}})));
    // Shown in itself.
    ck_assert(refused(at(pts(7), {{{pts(7)}, {{pts(7), client}}}})));
    ck_assert(
        refused(at(pts(7), {{{pts(7)}, {{pts(8), client}}}, {{pts(8)}, {{pts(7), client}}}})));
}
END_TEST

START_TEST(a_terminal_of_nobodys_is_told_beside_the_others) {
    ck_assert(found(at(pts(7), {{{pts(7)}, {{pts(6), client}, {pts(2), client}}}})) ==
              "b at pts/2; not pts/6");
}
END_TEST

START_TEST(an_emulators_terminal_is_its_desktops) {
    ck_assert(found(at(pts(7), {}, {{0, "of desktop"}})) == "desktop");
    ck_assert(found(at(pts(7), {{{pts(7)}, {{pts(6), client}}}}, {{client, "of desktop"}})) ==
              "desktop at pts/6");
    // A tmux of the desktop's that is seen from elsewhere, or from nowhere.
    ck_assert(found(at(pts(7), {{{pts(7)}, {{pts(2), client}}}}, {{0, "of desktop"}})) ==
              "b at pts/2");
    ck_assert(refused(at(pts(7), {{{pts(7)}, {}}}, {{0, "of desktop"}})));
    auto screen = at(pts(7), {}, {{0, "of desktop"}});
    screen.is_in_screen = true;
    ck_assert(refused(screen));
}
END_TEST

} // namespace

int main() {
    return test::run("seats", {a_terminal_of_a_session_is_that_session,
                               without_a_terminal_it_is_the_session_it_was_started_in,
                               what_is_shown_elsewhere_is_there,
                               what_is_shown_nowhere_or_by_whom_nobody_knows_is_refused,
                               a_terminal_of_nobodys_is_told_beside_the_others,
                               an_emulators_terminal_is_its_desktops});
}
