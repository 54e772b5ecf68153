#include "rescue/thaw.hpp"

#include "base/bus_client.hpp"
#include "base/cgroup.hpp"
#include "base/clock.hpp"
#include "base/console.hpp"
#include "base/log.hpp"
#include "daemon/enforce/console.hpp"
#include "daemon/enforce/logind.hpp"
#include "daemon/enforce/prompt.hpp"
#include "daemon/enforce/redraw.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/enforce/terminal_file.hpp"

#include <algorithm>
#include <cerrno>
#include <string_view>

namespace vigil::rescue {

namespace {

/// Drawn once at random, never changed; systemd/vigil.catalog explains it.
constexpr std::string_view message_id = "ea85b274ce844beb972ff6a783ac3738";

constexpr const char* vigild_unit = "/system.slice/vigild.service";
constexpr Seconds manager_patience{2};

using Terminals = std::vector<enforce::Terminal>;

Result<Terminals> terminals_of(const enforce::LogindSession& session) {
    return enforce::find_terminals(
        {.scope = session.scope, .leader = session.leader.pid, .begun_at = session.terminal});
}

/// One session on its way back.
class Thaw {
public:
    explicit Thaw(const std::string& scope) {
        done.scope = scope;
        done.logind_session = logind_session_in(scope);
    }

    void run() {
        // First, so that no vigild that sees the rest holds the session again.
        note(enforce::mark_thawed(done.scope, base::read_boot_time()));
        find_out();
        for (const auto& terminal : terminals_)
            give_back(terminal);
        const auto thawed = enforce::thaw(done.scope);
        note(thawed);
        done.thawed = thawed.has_value() || !enforce::is_frozen(done.scope);
        enforce::redraw(done.scope, terminals_);
        stop_prompts();
    }

    Thawed done;

private:
    void note(const Result<>& result) {
        if (!result)
            done.troubles.push_back(result.error().text());
    }

    void find_out() {
        const auto held =
            base::processes_in(done.scope + "/" + enforce::frozen_child).value_or(Pids{});
        done.processes = held.size();
        if (const auto session = enforce::logind_session(done.logind_session)) {
            done.user = session->user;
            owner_ = session->uid;
            terminals_ = terminals_of(*session).value_or(Terminals{});
        }
        // Without logind, or a leader, those that are the held processes' own; of a terminal inside
        // another program the lock has taken nothing.
        for (const pid_t pid : held)
            add_controlling(pid);
        std::erase_if(terminals_, [this](const enforce::Terminal& terminal) {
            const auto now = enforce::save({}, terminal, done.scope);
            return !enforce::is_shut(terminal) && (!now || !enforce::is_taken(*now));
        });
        prompted_ = enforce::prompted_session(terminals_);
    }

    void add_controlling(pid_t pid) {
        const auto stat = base::read_process_stat(pid);
        if (!stat || stat->terminal == 0 || enforce::find(terminals_, stat->terminal) != nullptr)
            return;
        if (const auto terminal = enforce::terminal_of(stat->terminal))
            terminals_.push_back(*terminal);
        if (const auto uid = base::read_real_uid(pid); uid && owner_ == 0)
            owner_ = *uid;
    }

    Result<> give_back_as_new(const enforce::Terminal& terminal) const {
        const auto now = enforce::save({}, terminal, done.scope);
        if (!now)
            return std::unexpected{now.error()};
        return enforce::give_back(enforce::as_new(*now, owner_), done.scope);
    }

    void give_back(const enforce::Terminal& terminal) {
        const auto place =
            prompted_ ? enforce::place_of_prompt(*prompted_, terminal.path) : std::nullopt;
        if (prompted_)
            enforce::dismiss_prompt(*prompted_, terminal.path);
        const auto given =
            enforce::is_shut(terminal)
                ? enforce::open_console(terminal, place ? base::virtual_console(*place) : 0)
                : give_back_as_new(terminal);
        note(given);
        if (given)
            done.terminals.push_back(terminal.path);
    }

    /// They have ended by the signal; a PID 1 that answers is told that it was meant so.
    void stop_prompts() {
        if (!prompted_ || terminals_.empty())
            return;
        auto manager = base::BusClient::connect(base::service_manager_socket,
                                                base::read_boot_time() + manager_patience);
        if (!manager)
            return;
        for (const auto& terminal : terminals_) {
            auto request = manager->message("/org/freedesktop/systemd1",
                                            "org.freedesktop.systemd1.Manager", "StopUnit");
            const auto unit = enforce::prompt_unit(*prompted_, terminal.path);
            if (request &&
                sd_bus_message_append(request->get(), "ss", unit.c_str(), "replace") >= 0)
                static_cast<void>(manager->call(*std::move(request)));
        }
    }

    using Pids = std::vector<pid_t>;

    Terminals terminals_;
    uid_t owner_ = 0;
    std::optional<core::SessionId> prompted_;
};

std::string counted(std::size_t count, const char* one, const char* several) {
    return std::to_string(count) + " " + (count == 1 ? one : several);
}

void tell_journal(const Thawed& done) {
    std::string text =
        done.name() +
        (done.thawed ? ": thawed by hand, without a proof; " : ": could not be thawed by hand; ") +
        counted(done.processes, "process", "processes") + ", " +
        counted(done.terminals.size(), "terminal", "terminals") + " given back";
    for (const auto& trouble : done.troubles)
        text += "; " + trouble;
    std::vector<base::LogField> fields{{"VIGIL_EVENT", "thawed-by-hand"},
                                       {"VIGIL_SCOPE", done.scope}};
    if (!done.logind_session.empty())
        fields.push_back({"VIGIL_LOGIND_SESSION", done.logind_session});
    if (!done.user.empty())
        fields.push_back({"VIGIL_USER", done.user});
    base::log_to_journal(done.thawed ? base::Level::warning : base::Level::error, message_id, text,
                         fields);
}

/// Sessions at consoles do not stand still, so their cgroups tell nothing.
void add_shut_consoles(std::vector<std::string>& scopes) {
    const auto sessions = enforce::logind_sessions();
    if (!sessions)
        return;
    for (const auto& session : *sessions) {
        const auto terminals = terminals_of(session);
        if (terminals && std::ranges::any_of(*terminals, enforce::is_shut) &&
            !std::ranges::count(scopes, session.scope))
            scopes.push_back(session.scope);
    }
}

} // namespace

std::string Thawed::name() const {
    return (logind_session.empty() ? scope : "session " + logind_session) +
           (user.empty() ? "" : " of " + user);
}

std::string logind_session_in(const std::string& scope) {
    constexpr std::string_view before = "session-";
    constexpr std::string_view after = ".scope";
    std::string_view name = scope;
    name.remove_prefix(name.rfind('/') + 1);
    if (!name.starts_with(before) || !name.ends_with(after))
        return {};
    name.remove_prefix(before.size());
    name.remove_suffix(after.size());
    return std::string{name};
}

Result<bool> vigild_runs() {
    if (!base::has_cgroup2())
        return fail(ENODATA, "no cgroup v2 hierarchy at " + std::string{base::cgroup_root()});
    const auto processes = base::processes_in(vigild_unit);
    if (!processes && processes.error().code == ENOENT)
        return false;
    if (!processes)
        return std::unexpected{processes.error()};
    return !processes->empty();
}

Result<std::vector<Thawed>> thaw_sessions() {
    auto scopes = enforce::held_scopes();
    if (!scopes)
        return std::unexpected{scopes.error()};
    add_shut_consoles(*scopes);
    std::vector<Thawed> all;
    for (const auto& scope : *scopes) {
        Thaw thaw{scope};
        thaw.run();
        tell_journal(thaw.done);
        all.push_back(std::move(thaw.done));
    }
    return all;
}

} // namespace vigil::rescue
