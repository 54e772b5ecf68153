#include "daemon/shell/shell.hpp"

#include "base/clock.hpp"
#include "base/console.hpp"
#include "base/log.hpp"
#include "daemon/enforce/console.hpp"
#include "daemon/enforce/prompt.hpp"
#include "daemon/enforce/scope.hpp"
#include "daemon/enforce/work.hpp"
#include "daemon/shell/facts.hpp"

#include <algorithm>
#include <stdexcept>

#include <sys/epoll.h>
#include <sys/random.h>

namespace vigil::shell {

namespace {

/// How exact the one timer is: a lock alone begins within 50 ms of its time.
constexpr std::uint64_t timer_accuracy_us = 1000;

} // namespace

Shell::Shell(sd_event* loop, store::RuntimeStore store, policy::Policy policy,
             enforce::ActivityQueues queues, store::BlockFiles blocks, std::string store_trouble)
    : loop_{loop}, store_{std::move(store)}, block_files_{std::move(blocks)},
      machine_{std::move(policy), store_.sessions().value_or(std::vector<core::SessionRecord>{}),
               store_.grants().value_or(std::vector<core::GrantRecord>{}), base::read_clocks()},
      redraw_{loop},
      desktops_{[this](const std::string& session, const enforce::DesktopHints& hints) {
          desktop_seen(session, hints);
      }},
      store_trouble_{std::move(store_trouble)}, store_error_{store_trouble_} {
    machine_.restore(store_.remembered().value_or(std::vector<core::RememberedLogin>{}),
                     base::read_clocks());
    machine_.restore(known_blocks(base::read_clocks()));
    auto activity = enforce::ActivityWatch::create(
        loop_,
        {.new_terminal = [this](const std::string& path,
                                uid_t owner) { new_terminal(path, owner); },
         .used = [this](const enforce::Terminal& terminal,
                        const enforce::Activity& seen) { terminal_used(terminal, seen); },
         .closed = [this](const enforce::Terminal& terminal) { terminal_closed(terminal); },
         .current_terminal_used = [this] { look_at_warned(); }},
        std::move(queues));
    if (!activity)
        throw std::runtime_error{activity.error().text()};
    activity_ = std::move(*activity);
    sd_event_source* timer = nullptr;
    if (sd_event_add_time(loop_, &timer, CLOCK_BOOTTIME, UINT64_MAX, timer_accuracy_us, on_timer,
                          this) < 0)
        throw std::runtime_error{"the event loop takes no timer"};
    timer_.reset(timer);
    sd_event_source* idle = nullptr;
    if (sd_event_add_defer(loop_, &idle, on_idle, this) < 0)
        throw std::runtime_error{"the event loop takes no defer source"};
    idle_.reset(idle);
    sd_event_source_set_enabled(idle, SD_EVENT_OFF);
    sd_event_source_set_priority(idle, SD_EVENT_PRIORITY_IDLE);
}

Shell::~Shell() = default;

/// What the state has counts first; copies are of before a reboot, or of a state that was lost.
std::vector<core::BlockRecord> Shell::known_blocks(const Now& now) {
    auto blocks = store_.blocks().value_or(std::vector<core::BlockRecord>{});
    const auto copies = block_files_.copies(now);
    if (!copies)
        base::log(base::Level::error,
                  "who was blocked before cannot be read: " + copies.error().text());
    else
        blocks.insert(blocks.end(), copies->begin(), copies->end());
    return blocks;
}

void Shell::start() {
    draining_ = true;
    perform_all(machine_.start(base::read_clocks()));
    draining_ = false;
    adopt_unknown();
    // Before anybody is answered what was held is held again.
    while (!locks_due_.empty())
        drain(Holding::at_once);
}

void Shell::adopt_unknown() {
    const auto sessions = enforce::logind_sessions();
    if (!sessions)
        base::log(base::Level::warning,
                  "logind's sessions cannot be read, none is adopted: " + sessions.error().text());
    else
        for (const auto& session : *sessions)
            adopt(session);
    drain();
}

void Shell::adopt(const enforce::LogindSession& session) {
    if (machine_.by_logind(session.id))
        return;
    events_.push_back(core::SessionFound{.fresh_id = id_for(session),
                                         .facts = facts_of(session),
                                         .pam_terminal = session.terminal,
                                         .remote_host = session.remote_host,
                                         .leader = session.leader,
                                         .logind_session = session.id,
                                         .cgroup = session.scope,
                                         .since = boot_time_of(session.since, base::read_clocks()),
                                         .since_wall = session.since});
}

/// One that is found locked keeps the id that its prompts ask under.
core::SessionId Shell::id_for(const enforce::LogindSession& session) {
    const auto terminals = enforce::find_terminals(
        {.scope = session.scope, .leader = session.leader.pid, .begun_at = session.terminal});
    if (terminals &&
        (enforce::is_frozen(session.scope) || std::ranges::any_of(*terminals, enforce::is_shut)))
        if (const auto id = enforce::prompted_session(*terminals); id && !record(*id))
            return *id;
    return fresh_id();
}

core::SessionId Shell::fresh_id() {
    core::SessionId id;
    // Cannot fail for 16 bytes once the pool is up (getrandom(2)), and vigild starts after that.
    if (getrandom(id.bytes.data(), id.bytes.size(), 0) != static_cast<ssize_t>(id.bytes.size()))
        throw std::runtime_error{"the kernel gives no random bytes"};
    return id;
}

core::Token Shell::expect(Responder responder) {
    if (waiting_.size() >= max_waiting)
        return 0;
    const auto token = next_token_++;
    waiting_.emplace(token, std::move(responder));
    return token;
}

void Shell::dispatch(core::Event event) {
    events_.push_back(std::move(event));
    drain();
}

void Shell::drain(Holding holding) {
    if (draining_)
        return;
    draining_ = true;
    drain_events();
    if (const auto by = hold_by();
        by && (holding == Holding::at_once || *by <= base::read_boot_time())) {
        hold_some();
        drain_events();
    }
    draining_ = false;
    // Not all of many in one go: logins come in between.
    sd_event_source_set_enabled(idle_.get(), locks_due_.empty() ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
    arm_timer();
}

/// Effects are done before the next event is looked at; an effect's outcome waits its turn.
void Shell::drain_events() {
    while (!events_.empty()) {
        const auto event = std::move(events_.front());
        events_.pop_front();
        try {
            perform_all(machine_.step(event, base::read_clocks()));
        } catch (const std::exception& error) {
            base::log(base::Level::error, std::string{"an event is lost: "} + error.what());
        }
    }
}

/// One that fails unforeseen takes none of the others with it: among them are answers that
/// somebody waits for.
void Shell::perform_all(const core::Effects& effects) noexcept {
    for (const auto& effect : effects)
        try {
            std::visit([this](const auto& what) { perform(what); }, effect);
        } catch (const std::exception& error) {
            base::log(base::Level::error, error.what());
        }
}

void Shell::arm_timer() noexcept {
    auto deadline = machine_.next_deadline();
    // Not only when the loop is idle: who keeps asking keeps it busy.
    if (const auto by = hold_by(); by && (!deadline || *by < *deadline))
        deadline = by;
    if (!deadline) {
        sd_event_source_set_enabled(timer_.get(), SD_EVENT_OFF);
        return;
    }
    // What was due before the boot is due now; as a number without a sign it would never be.
    const auto due = std::max(*deadline, BootTime{});
    sd_event_source_set_time(timer_.get(),
                             static_cast<std::uint64_t>(due.time_since_epoch().count()));
    sd_event_source_set_enabled(timer_.get(), SD_EVENT_ONESHOT);
}

int Shell::on_timer(sd_event_source*, std::uint64_t, void* userdata) noexcept {
    try {
        static_cast<Shell*>(userdata)->dispatch(core::TimePassed{});
    } catch (const std::exception& error) {
        base::log(base::Level::error, error.what());
    }
    return 0;
}

int Shell::on_leader_gone(sd_event_source* source, int, std::uint32_t, void* userdata) noexcept {
    try {
        const auto& watched = *static_cast<Watched*>(userdata);
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        watched.shell->dispatch(core::LeaderGone{watched.id});
    } catch (const std::exception& error) {
        base::log(base::Level::error, error.what());
    }
    return 0;
}

int Shell::on_carrier_gone(sd_event_source* source, int, std::uint32_t, void* userdata) noexcept {
    try {
        const auto& watched = *static_cast<Watched*>(userdata);
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        watched.shell->dispatch(core::ClientGone{watched.id});
    } catch (const std::exception& error) {
        base::log(base::Level::error, error.what());
    }
    return 0;
}

const core::SessionRecord* Shell::record(const core::SessionId& id) const {
    const auto view = machine_.view(id);
    return view ? view->record : nullptr;
}

std::optional<core::SessionId> Shell::session_of(pid_t pid) {
    const auto logind = enforce::logind_session_of(pid);
    if (!logind)
        return std::nullopt;
    if (const auto known = machine_.by_logind(*logind))
        return known;
    // Opened while vigild was away: what a step-up binds to has to be watched.
    if (const auto session = enforce::logind_session(*logind); session && session->is_login) {
        adopt(*session);
        drain();
    }
    return machine_.by_logind(*logind);
}

void Shell::new_terminal(const std::string& path, uid_t owner) {
    // A copy: a dispatch below can end a session and change the index.
    std::vector<core::SessionId> candidates;
    const auto [first, last] = by_user_.equal_range(owner);
    for (auto entry = first; entry != last; ++entry)
        candidates.push_back(entry->second);
    for (const auto& id : candidates) {
        const auto* known = record(id);
        if (!known)
            continue;
        // Where that is not known it may be any session's of this user.
        const auto terminals = look_for_terminals(*known);
        const bool is_told = !path.empty() && terminals;
        if (is_told && !std::ranges::count(*terminals, path, &enforce::Terminal::path))
            continue;
        dispatch(core::TerminalOpened{id});
        if (is_told)
            break;
    }
}

void Shell::terminal_closed(const enforce::Terminal& terminal) {
    if (const auto session = by_terminal_.find(terminal.device); session != by_terminal_.end())
        dispatch(core::TerminalClosed{session->second});
}

/// Written down, because atime would tell the next vigild no better than to 8 s.
void Shell::terminal_used(const enforce::Terminal& terminal, const enforce::Activity& activity) {
    const auto session = by_terminal_.find(terminal.device);
    if (session == by_terminal_.end())
        return;
    const auto found = watched_.find(session->second);
    const auto view = machine_.view(session->second);
    if (found == watched_.end() || !view)
        return;
    // Behind a lock console a session uses its own as it likes.
    if (view->record->state == core::State::locked && !console_of(found->second, terminal.device))
        return dispatch(core::LockedTerminalUsed{view->record->id});
    note_use(found->second, *view, activity);
    write_activity(found->second, activity.input, activity.output);
    if (view->is_warned)
        dispatch(core::WarnedTerminalUsed{view->record->id, activity.input});
}

core::WorkDone Shell::work_of(const core::SessionRecord& record, Microseconds kept) {
    return enforce::read_work(record.cgroup, record.leader.pid, record.facts.uid, moved_, kept);
}

/// What was done up to now belongs to this use of the terminal: when nothing follows it, what is
/// done from here on tells whether the work goes on.
void Shell::note_use(Watched& watched, const core::SessionView& view,
                     const enforce::Activity& activity) {
    if (!view.counts_work || view.record->cgroup.empty())
        return;
    const core::WorkReading reading{.at = base::read_boot_time(),
                                    .done = work_of(*view.record, enforce::moved_kept)};
    if (activity.input > watched.last.input)
        watched.work_at_input = reading;
    if (activity.output > watched.last.output)
        watched.work_at_output = reading;
}

void Shell::write_activity(Watched& watched, BootTime input, BootTime output) {
    watched.last.input = std::max(watched.last.input, input);
    watched.last.output = std::max(watched.last.output, output);
    stored(store_.put_activity(watched.id, watched.last));
}

std::vector<std::pair<const char*, int>> Shell::kept_descriptors() const {
    return {{input_queue_name, activity_->input_queue()},
            {output_queue_name, activity_->output_queue()}};
}

BootTime Shell::last_input(const core::SessionView& view) const {
    auto last = view.last_input;
    const auto found = watched_.find(view.record->id);
    if (found != watched_.end())
        for (const auto& terminal : found->second.terminals)
            if (const auto seen = activity_->get(terminal))
                last = std::max(last, seen->input);
    return last;
}

std::vector<std::string> Shell::terminals_of(const core::SessionView& view) const {
    std::vector<std::string> names;
    for (const auto& path : view.terminals)
        names.push_back(path.starts_with("/dev/") ? path.substr(5) : path);
    return names;
}

Result<> Shell::can_start_prompts() {
    return service_manager_ ? service_manager_->reach() : fail(not_to_be_asked);
}

std::optional<core::SessionId> Shell::locked_at(const std::string& terminal) {
    const auto path = terminal.starts_with("/dev/") ? terminal : "/dev/" + terminal;
    for (const auto& [id, watched] : watched_) {
        const auto* known = record(id);
        if (known && known->state == core::State::locked &&
            std::ranges::count(places_of(watched), path, &enforce::Terminal::path))
            return id;
    }
    return std::nullopt;
}

} // namespace vigil::shell
