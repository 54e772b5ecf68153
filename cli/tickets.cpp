// enroll ticket.

#include "base/duration.hpp"
#include "base/log.hpp"
#include "base/secret.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "cli/password_agent.hpp"
#include "policy/scalars.hpp"
#include "wire/errors.hpp"

#include <cstdio>

namespace vigil::cli {

int enroll_ticket(const Context& context, const std::string& user, const std::string& time) {
    const auto lasts = policy::read_duration(time);
    if (!lasts) {
        std::fprintf(stderr,
                     "vigilctl enroll ticket: --for: %s; see `vigilctl enroll ticket --help`\n",
                     base::escape(lasts.error().what).c_str());
        return exit_usage;
    }
    const Client client{context.socket};
    auto ticket = [&] {
        const PasswordAgent agent;
        return client.make_ticket(user, *lasts);
    }();
    if (!ticket)
        return complain(ticket.error());
    std::printf("Ticket for %s, for one use within %s:\n\n    %s\n\nGive it to nobody else. It is "
                "asked for by `vigilctl enroll totp --ticket` and `enroll key --ticket`.\n",
                base::escape(user).c_str(), base::duration_text(*lasts).c_str(),
                base::escape(*ticket).c_str());
    base::wipe(ticket->data(), ticket->size());
    return 0;
}

} // namespace vigil::cli
