// thaw: the way back without vigild. See rescue/.

#include "base/log.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "rescue/thaw.hpp"
#include "wire/errors.hpp"

#include <cstdio>

#include <unistd.h>

namespace vigil::cli {

namespace {

/// One that answers unlocks by itself, with a reason in the log. One that hangs is gone around.
Result<bool> vigild_answers(const Context& context) {
    const auto runs = rescue::vigild_runs();
    if (!runs)
        return runs;
    return *runs && Client{context.socket}.status().has_value();
}

/// What the kernel has given back is still locked in vigild's books.
void tell_vigild(const Context& context) {
    const Client client{context.socket};
    const auto sessions = client.list();
    if (!sessions)
        return;
    for (const auto& session : *sessions)
        if (session.state == "locked")
            if (const auto done = client.act("Unlock", session.id, "vigilctl thaw --all --force");
                !done)
                complain(done.error());
}

void print(const rescue::Thawed& one) {
    std::string line = (one.thawed ? "thawed " : "not thawed: ") + one.name() + ": " +
                       std::to_string(one.processes) +
                       (one.processes == 1 ? " process" : " processes");
    for (const auto& terminal : one.terminals)
        line += (&terminal == &one.terminals.front() ? "; given back: " : " ") + terminal;
    std::puts(base::escape(line).c_str());
    for (const auto& trouble : one.troubles)
        complain({0, one.name() + ": " + trouble});
}

} // namespace

int thaw(const Context& context, const ThawChoice& choice) {
    if (geteuid() != 0)
        return complain({wire::code_denied, "thaw is for root alone"});
    const auto answers = vigild_answers(context);
    if (!answers && !choice.force)
        return complain(
            {answers.error().code, "whether vigild runs cannot be told: " + answers.error().text() +
                                       "; --force thaws all the same"});
    if (answers.value_or(false) && !choice.force)
        return complain({wire::code_denied,
                         "vigild runs and answers: `vigilctl unlock --all --reason TEXT` unlocks "
                         "and is logged with the reason; --force thaws all the same"});
    const auto all = rescue::thaw_sessions();
    if (!all)
        return complain(all.error());
    int status = 0;
    if (all->empty())
        std::puts("Nothing is held.");
    for (const auto& one : *all) {
        print(one);
        if (!one.thawed)
            status = exit_refused;
    }
    // One that may run has to know: what is locked in its books is not held any more.
    if (answers.value_or(true))
        tell_vigild(context);
    return status;
}

} // namespace vigil::cli
