// block, unblock.

#include "base/log.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "policy/scalars.hpp"

#include <algorithm>
#include <cstdio>

namespace vigil::cli {

namespace {

/// A block keeps people from coming in, and takes nobody out.
void tell_of_sessions(const Client& client, const std::string& user) {
    const auto sessions = client.list();
    if (!sessions) {
        complain(sessions.error());
        return;
    }
    const auto open = std::ranges::count_if(*sessions, [&](const wire::Session& session) {
        return session.user == user && session.login.empty();
    });
    if (open > 0)
        std::printf("%s has %td %s, left as %s; to end %s: vigilctl terminate --user %s --reason "
                    "TEXT\n",
                    base::escape(user).c_str(), open, open == 1 ? "session" : "sessions",
                    open == 1 ? "it is" : "they are", open == 1 ? "it" : "them",
                    base::escape(user).c_str());
}

} // namespace

int block(const Context& context, const Blocking& what) {
    Seconds lasts{0};
    if (!what.time.empty()) {
        const auto read = policy::read_duration(what.time);
        if (!read || *read <= Seconds{0} || *read == never) {
            const auto why = read ? what.time + " is no time that a block can last; without --for "
                                                "it lasts until `vigilctl unblock`"
                                  : read.error().what;
            std::fprintf(stderr, "vigilctl block: --for: %s; see `vigilctl block --help`\n",
                         base::escape(why).c_str());
            return exit_usage;
        }
        lasts = *read;
    }
    const Client client{context.socket};
    if (const auto done = client.block(what.user, what.reason, lasts); !done)
        return complain(done.error());
    const auto until =
        std::chrono::duration_cast<Microseconds>(context.now.wall.time_since_epoch() + lasts);
    std::printf(
        "blocked %s %s\n", base::escape(what.user).c_str(),
        lasts == Seconds{0}
            ? "until `vigilctl unblock`"
            : ("until " + clock_text(static_cast<std::uint64_t>(until.count()), context.now))
                  .c_str());
    tell_of_sessions(client, what.user);
    return 0;
}

int unblock(const Context& context, const std::string& user) {
    if (const auto done = Client{context.socket}.unblock(user); !done)
        return complain(done.error());
    std::printf("unblocked %s\n", base::escape(user).c_str());
    return 0;
}

} // namespace vigil::cli
