// The host as a whole.

#include "base/clock.hpp"
#include "daemon/bus/api.hpp"
#include "daemon/bus/parse.hpp"
#include "daemon/enforce/console.hpp"
#include "daemon/enforce/means.hpp"
#include "daemon/shell/facts.hpp"
#include "wire/codec.hpp"
#include "wire/grade.hpp"
#include "wire/observing.hpp"

#include <array>
#include <cerrno>

namespace vigil::bus {

namespace {

/// What a drop-in of somebody's may have taken from the unit.
constexpr const char* revert_unit = "systemctl revert vigild.service && systemctl restart vigild";

wire::Finding finding(const char* check, wire::Grade grade, std::string found,
                      std::string mend = {}) {
    return {.check = check,
            .result = wire::to_text(grade),
            .found = std::move(found),
            .mend = std::move(mend)};
}

wire::Finding look_at_cgroup_write(shell::Shell&) {
    constexpr const char* check = "cgroup write";
    if (const auto can = enforce::can_write_cgroups(); !can)
        return finding(check, wire::Grade::failure,
                       "vigild cannot write to cgroups, so it cannot hold a session: " +
                           can.error().text(),
                       revert_unit);
    return finding(check, wire::Grade::ok, "vigild can hold sessions in their cgroups");
}

wire::Finding look_at_descriptors(shell::Shell&) {
    constexpr const char* check = "pidfd";
    if (const auto can = enforce::can_fetch_descriptors(); !can)
        return finding(check, wire::Grade::failure,
                       "vigild cannot see who has a terminal open: " + can.error().text(),
                       revert_unit);
    return finding(check, wire::Grade::ok, "vigild can see who has a terminal open");
}

wire::Finding look_at_prompts(shell::Shell& shell) {
    constexpr const char* check = "prompts";
    if (const auto can = shell.can_start_prompts(); !can) {
        // systemctl of some versions comes over that socket alone.
        const bool is_gone = can.error().code == ENOENT || can.error().code == ECONNREFUSED;
        return finding(check, wire::Grade::failure,
                       "vigild cannot have a prompt started: " + can.error().text(),
                       is_gone ? "kill -TERM 1" : "systemctl restart vigild");
    }
    return finding(check, wire::Grade::ok, "vigild can have PID 1 start prompts");
}

/// Without one a session at a console is held as any other, at its own terminal.
wire::Finding look_at_lock_console(shell::Shell&) {
    constexpr const char* check = "console";
    const auto number = enforce::free_lock_console();
    if (!number)
        return finding(check, wire::Grade::warning,
                       "no lock console can be had, so programs at a console stand still under a "
                       "lock: " +
                           number.error().text(),
                       "vigilctl terminate --reason TEXT ID, of a session that has a console");
    return finding(check, wire::Grade::ok,
                   *number == 0
                       ? std::string{"there are no virtual consoles here"}
                       : "a session at a console is asked at " + enforce::console(*number).path);
}

constexpr std::array checks{look_at_cgroup_write, look_at_descriptors, look_at_prompts,
                            look_at_lock_console};

} // namespace

Result<> Api::status(const Call& call) {
    wire::Status status;
    status.version = VIGIL_VERSION;
    status.mode = policy::to_text(shell_.machine().mode());
    status.policy_path = policy_.path();
    status.policy_loaded = wire_time(policy_.loaded());
    status.started = wire_time(started_);
    // The line of a broken policy can quote it: for who is shown everything.
    const auto told = [&](const std::string& error) {
        return error.empty() || !call.shown ? error : std::string{"see the journal"};
    };
    status.policy_error = told(policy_.error());
    status.store_error = told(shell_.store_error());
    status.factors_error = told(factors_error_);
    status.degraded =
        !policy_.error().empty() || !shell_.store_error().empty() || !factors_error_.empty();
    for (const auto& view : shell_.machine().list()) {
        if (core::is_elevated(*view.record))
            continue;
        ++status.sessions;
        status.locked += view.record->state == core::State::locked ? 1 : 0;
    }
    if (const auto until = shell_.machine().rehearsed_until())
        status.rehearsed_until = wire_time(shell::wall_time_of(*until, base::read_clocks()));
    status.grants = static_cast<std::uint32_t>(shell_.machine().grant_count());
    reply(call, [&](auto& sink) { return wire::append(sink, status); });
    return {};
}

/// What only vigild can tell, confined as its unit is. What anybody can see vigilctl looks at,
/// which has to work without vigild.
Result<> Api::examine(const Call& call) {
    std::vector<wire::Finding> findings;
    for (const auto look : checks)
        findings.push_back(look(shell_));
    reply(call, [&](auto& sink) { return wire::append(sink, findings); });
    return {};
}

Result<> Api::reload(const Call& call) {
    auto loaded = policy_.reload(base::read_clocks().wall);
    const auto error = loaded ? std::string{} : loaded.error().text();
    if (loaded)
        shell_.dispatch(core::PolicyChanged{std::move(*loaded)});
    reply(call, [&](auto& sink) { return wire::append_text(sink, error); });
    return {};
}

namespace {

std::unexpected<Error> observes_only() {
    return fail(wire::code_denied, "The kernel's command line says " +
                                       std::string{wire::observe_word} +
                                       ": until the next boot vigil only observes.");
}

} // namespace

Result<> Api::rehearse(const Call& call) {
    const auto lasts = read<std::uint64_t>(call);
    if (!lasts || *lasts < static_cast<std::uint64_t>(wire::shortest_rehearsal.count()) ||
        *lasts > static_cast<std::uint64_t>(wire::longest_rehearsal.count()))
        return fail(wire::code_invalid, "A rehearsal takes from " +
                                            base::duration_text(wire::shortest_rehearsal) + " to " +
                                            base::duration_text(wire::longest_rehearsal) + ".");
    if (policy_.observes_only())
        return observes_only();
    return put(call,
               core::RehearseAsked{.token = 0, .lasts = Seconds{*lasts}, .by = orderer(call)});
}

Result<> Api::confirm_rehearsal(const Call& call) {
    const auto until = read<std::uint64_t>(call); // as the caller saw it
    if (!until)
        return std::unexpected{until.error()};
    if (policy_.observes_only())
        return observes_only();
    if (*until != 0 && !policy_.is_as_read())
        return fail(wire::code_denied, "The policy's files have changed since they were read, and "
                                       "nobody has come in under them: vigilctl reload, and log in "
                                       "anew.");
    return put(call, core::RehearsalConfirmed{.token = 0,
                                              .session = call.pid > 0 ? shell_.session_of(call.pid)
                                                                      : std::nullopt,
                                              .is_running = *until != 0});
}

} // namespace vigil::bus
