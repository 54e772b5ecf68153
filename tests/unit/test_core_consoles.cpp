// Who is at the machine's own screen.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

/// A login at a console, as login(1) names it.
void console_login(Host& host, std::uint32_t number, const std::string& user, std::uint32_t uid,
                   const char* terminal) {
    auto asked = reserve(number, facts_of(user, uid));
    auto confirmed = confirm(number, facts_of(user, uid));
    asked.pam_terminal = confirmed.pam_terminal = terminal;
    host.step(asked, 0s);
    host.step(confirmed, 0s);
}

START_TEST(who_else_is_at_the_machines_own_screen) {
    Host host{policy_of({})};
    const auto alone = [&] { return host.machine.is_alone_at_consoles(id_of(1)); };
    console_login(host, 1, "alice", 1000, "tty1");
    ck_assert(alone());
    console_login(host, 2, "alice", 1000, "/dev/tty3");
    console_login(host, 3, "bob", 1001, "ssh");
    console_login(host, 4, "carol", 1002, "ttyS0");
    ck_assert(alone());
    host.step(reserve(5, facts_of("dave", 1003)), 0s);
    ck_assert(alone());
    // By its name at the login, also when vigild has just been started again …
    console_login(host, 6, "bob", 1001, "/dev/tty2");
    ck_assert(!alone());
    host.restart(1s);
    ck_assert(!alone());
    host.step(ReleaseAsked{.token = 1, .leader = process_of(6)}, 1s);
    ck_assert(alone());
    // … and by where it is seen.
    auto seen = activity(3, 1s, 1s);
    seen.terminals = {"/dev/tty2"};
    host.step(seen, 1s);
    ck_assert(!alone());
    ck_assert(!host.machine.is_alone_at_consoles(id_of(99)));
}
END_TEST

START_TEST(a_desktop_is_at_the_machines_own_screen) {
    Host host{policy_of({})};
    console_login(host, 1, "alice", 1000, "tty1");
    auto facts = facts_of("bob", 1001);
    facts.session_class = policy::SessionClass::graphical;
    auto asked = reserve(2, facts);
    asked.remote_host = "192.0.2.7"; // over the network
    auto confirmed = confirm(2, facts);
    host.step(asked, 0s);
    host.step(confirmed, 0s);
    ck_assert(host.machine.is_alone_at_consoles(id_of(1)));
    console_login(host, 3, "carol", 1002, ":0");
    ck_assert(host.machine.is_alone_at_consoles(id_of(1)));
    auto local = confirm(4, facts);
    local.remote_host.clear();
    host.step(local, 0s);
    ck_assert(!host.machine.is_alone_at_consoles(id_of(1)));
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("core: consoles", {who_else_is_at_the_machines_own_screen,
                                               a_desktop_is_at_the_machines_own_screen});
}
