#pragma once
// The imperative shell around the core: reads the clocks once a dispatch, steps the machine, and
// does its effects in order. It decides nothing; what an effect found out goes back as an event.

#include "base/systemd.hpp"
#include "daemon/core/machine.hpp"
#include "daemon/enforce/activity.hpp"
#include "daemon/enforce/console_watch.hpp"
#include "daemon/enforce/desktop.hpp"
#include "daemon/enforce/holders.hpp"
#include "daemon/enforce/lock.hpp"
#include "daemon/enforce/logind.hpp"
#include "daemon/enforce/moved.hpp"
#include "daemon/enforce/service_manager.hpp"
#include "daemon/store/block_files.hpp"
#include "daemon/store/store.hpp"

#include <concepts>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

namespace vigil::shell {

// Names of descriptors in PID 1's store.
inline constexpr const char* input_queue_name = "vigil-input";
inline constexpr const char* output_queue_name = "vigil-output";

/// What a waiting caller can be told.
using Reply = std::variant<core::ReplyReserve, core::ReplyLimit, core::ReplyAsk, core::ReplyProve,
                           core::ReplyRequested, core::ReplyWait, core::ReplyId, core::ReplyDone>;
using Responder = std::function<void(const Reply&)>;

/// Why there are no prompts where use_service_manager() was not called.
inline constexpr const char* not_to_be_asked = "vigild was told not to ask PID 1";

/// Callers waiting for an answer at one time; beyond that a request is refused at once.
inline constexpr std::size_t max_waiting = 4096;

/// Who reads a terminal is looked for no oftener than this for what is only shown, since it takes a
/// look at all processes. Before a password counts it is looked for anew.
inline constexpr Microseconds shown_age = Seconds{1};
/// What a prompt draws first is from the look that was made when its lock held, if PID 1 has
/// started it so soon: of many prompts it starts some seconds later.
inline constexpr Microseconds first_drawn_age = Seconds{10};

class Shell {
public:
    /// `loop` outlives this. `store_trouble`: what was wrong with the store at its start, for
    /// store_error(). Throws std::runtime_error if the loop takes no sources.
    Shell(sd_event* loop, store::RuntimeStore store, policy::Policy policy,
          enforce::ActivityQueues queues, store::BlockFiles blocks, std::string store_trouble = {});
    ~Shell();
    Shell(const Shell&) = delete;
    Shell& operator=(const Shell&) = delete;

    /// Puts right what a crash left, adopts what logind has and vigil does not.
    void start();

    /// Watches the sessions of logind's that vigil was not told of.
    void adopt_unknown();

    /// Descriptors that PID 1 is to keep for the next vigild, with their names.
    std::vector<std::pair<const char*, int>> kept_descriptors() const;

    /// The broker's connection, for logind; null while it is away.
    void set_system_bus(sd_bus* bus);

    /// Has prompts started by PID 1. Throws std::runtime_error if the loop takes no source.
    void use_service_manager() { service_manager_.emplace(loop_); }

    /// Registers who waits; put the token into the event. 0: too many wait.
    core::Token expect(Responder responder);

    void dispatch(core::Event event);

    const core::Machine& machine() const noexcept { return machine_; }
    core::SessionId fresh_id();

    /// The session of a process, adopting logind's if it is new to us. nullopt: it is in none.
    std::optional<core::SessionId> session_of(pid_t pid);

    /// Last input as of now, for listings.
    BootTime last_input(const core::SessionView& view) const;
    std::vector<std::string> terminals_of(const core::SessionView& view) const;

    /// Who else has a terminal of the session open now: looked up each time, because a descriptor
    /// can reach another process after the lock too. `age`: an answer so old is good enough.
    std::vector<enforce::ForeignHolder> foreign_holders(const core::SessionId& id,
                                                        Microseconds age = Microseconds{0});

    /// What of it, and beside it, its lock leaves free at this moment.
    std::vector<core::Gap> look_for_gaps(const core::SessionId& id,
                                         Microseconds age = Microseconds{0});

    /// The locked session that has this terminal ("pts/3" or "/dev/pts/3").
    std::optional<core::SessionId> locked_at(const std::string& terminal);

    /// A terminal of a locked session, as it was before. nullopt: it is not one that is held.
    std::optional<core::SavedTerminal> saved_terminal(const core::SessionId& id,
                                                      const std::string& path);
    /// Whether nothing of the lock was drawn there yet, as far as that is noted.
    static bool is_undrawn(const core::SavedTerminal& saved);
    /// Whether the prompt at it may ask it what it shows. Yes is said once a lock.
    bool ask_screen(core::SavedTerminal saved);
    /// What it answered; heard once a lock.
    void screen_seen(const core::SessionId& id, const std::string& path, core::Screen screen,
                     core::Cursor cursor);

    /// Whether PID 1 takes a connection; no more is known without starting one.
    Result<> can_start_prompts();

    const std::string& store_error() const noexcept { return store_error_; }

private:
    struct Watched {
        Shell* shell = nullptr; ///< for the callback that gets a Watched
        core::SessionId id;
        uid_t uid = 0;
        std::string desktop; ///< logind's id, where it has or had one
        base::UniqueFd leader;
        base::EventSource leader_source;
        // Of an elevated session.
        std::string cgroup;
        base::EventSource emptied_source; ///< what is in there has changed
        std::vector<enforce::Terminal> terminals;
        /// Under a lock: sshd's own processes, by pid, and what tells of their end.
        std::map<pid_t, base::EventSource> carriers;
        bool lock_due = false;            ///< it is in locks_due_
        bool no_terminal = false;         ///< it had none when it was held last
        std::set<std::uint64_t> prompted; ///< devices of those that a prompt was asked for
        /// Under a lock: those of its terminals that a lock console asks for.
        std::vector<core::SavedTerminal> consoles;
        std::vector<enforce::ForeignHolder> holders;
        std::vector<enforce::ForeignHolder> escaped; ///< since it was locked
        std::optional<BootTime> looked_for_holders;
        /// As it was when somebody saw that its terminals were used.
        std::optional<core::WorkReading> work_at_input;
        std::optional<core::WorkReading> work_at_output;
        /// What an earlier vigild had seen; good for the first look of this one.
        std::optional<store::RuntimeStore::Activity> before;
        store::RuntimeStore::Activity last; ///< of all its terminals, as written down
    };

    /// A process that waits for an approval.
    struct Asker {
        Shell* shell = nullptr;
        core::SessionId request;
        base::UniqueFd process;
        base::EventSource source;
    };

    /// What asking at the terminals of a lock came to.
    struct Asked {
        Result<> consoles;
        Result<> prompts;
    };

    struct Held;

    /// Locks that are due are held when the loop has nothing else to do, or once they have waited.
    enum class Holding { in_time, at_once };
    void drain(Holding holding = Holding::in_time);
    void drain_events();
    std::optional<BootTime> hold_by() const;
    void hold_some() noexcept;
    void hold(const std::vector<core::SessionId>& lot);
    void prepare(const core::SessionRecord& known, Watched& watched, std::list<Held>& all,
                 std::vector<enforce::LockRequest>& requests);
    void finish(Held& held, enforce::LockReport& report);
    void perform_all(const core::Effects& effects) noexcept;
    void arm_timer() noexcept;
    std::vector<core::BlockRecord> known_blocks(const Now& now);
    void adopt(const enforce::LogindSession& session);
    core::SessionId id_for(const enforce::LogindSession& session);
    void new_terminal(const std::string& path, uid_t owner);
    void terminal_closed(const enforce::Terminal& terminal);
    void write_activity(Watched& watched, BootTime input, BootTime output);
    void terminal_used(const enforce::Terminal& terminal, const enforce::Activity& activity);
    enforce::Activity known_activity(const Watched& watched, const enforce::Terminal& terminal,
                                     const Now& now) const;
    void look_at_desktop(const core::SessionRecord& record);
    void forget_hints();
    void desktop_seen(const std::string& logind_session, const enforce::DesktopHints& hints);
    void watch_leader(Watched& watched, const base::Process& leader);
    Result<> watch_terminal(const core::SessionId& session, const enforce::Terminal& terminal,
                            const enforce::Activity& known);
    void lose_terminal(core::SessionId session, const enforce::Terminal& terminal);
    void unwatch_terminal(const core::SessionId& session,
                          const enforce::Terminal& terminal) noexcept;
    void watch_locked(Watched& watched, const std::vector<enforce::Terminal>& before,
                      const std::vector<core::SavedTerminal>& saved);
    Asked ask_at(Watched& watched, const std::vector<core::SavedTerminal>& terminals);
    void look_for_holders(const std::vector<core::SessionId>& ids);
    bool note_escaped(Watched& watched, const std::vector<enforce::ForeignHolder>& escaped);
    void watch_carriers(Watched& watched, const std::vector<pid_t>& carriers);
    // elevated.cpp
    void watch_elevated(Watched& watched, const core::SessionRecord& record);
    void read_elevated(const core::SessionView& view);
    void end_elevated(const core::SessionRecord& record);
    void kill_elevated(const core::SessionRecord& record);
    void forget_elevated(const Watched& watched);
    void set_back(const core::SavedTerminal& before, const std::string& scope,
                  const core::SessionId& login);
    std::string scope_around(const core::SessionRecord& record) const;
    BootTime input_at(const enforce::Terminal& terminal, const Now& now) const;

    Result<> start_prompts(Watched& watched);
    void prompt_failed(const core::SessionId& session, std::uint64_t device,
                       const std::string& line);
    Result<> keep_consoles(Watched& watched, const std::vector<core::SavedTerminal>& terminals);
    void guard_consoles();
    void forget_consoles(Watched& watched);
    static const core::SavedTerminal* console_of(const Watched& watched, std::uint64_t device);
    std::vector<enforce::Terminal> places_of(const Watched& watched) const;
    void signal_leader(const core::SessionId& session, int signal);
    void stop_prompts(const core::SessionId& id);
    void stop_prompt(const core::SessionId& session, const std::string& terminal_path);
    void look_at_warned();
    core::WorkDone work_of(const core::SessionRecord& record, Microseconds kept = Microseconds{0});
    void note_use(Watched& watched, const core::SessionView& view,
                  const enforce::Activity& activity);
    void read_work(core::ActivitySeen& seen, const Watched& watched, const core::SessionView& view);
    Result<std::vector<enforce::Terminal>>
    look_for_terminals(const core::SessionRecord& record) const;
    /// Where that fails, those that it had when it was looked at last.
    std::vector<enforce::Terminal> terminals_now(const core::SessionRecord& record) const;
    enforce::LockTarget target(const core::SessionRecord& record) const;
    const core::SessionRecord* record(const core::SessionId& id) const;
    bool stored(const Result<>& result);
    void respond(core::Token token, const Reply& reply);

    void perform(const core::StoreSession& effect);
    void perform(const core::EraseSession& effect);
    void perform(const core::StoreGrant& effect);
    void perform(const core::EraseGrant& effect);
    void perform(const core::StoreRemembered& effect);
    void perform(const core::EraseRemembered& effect);
    void perform(const core::StoreBlock& effect);
    void perform(const core::EraseBlock& effect);
    void perform(const core::KeepMarks& effect);
    void perform(const core::Watch& effect);
    void perform(const core::HoldElevated& effect);
    void perform(const core::Forget& effect);
    void perform(const core::ReadActivity& effect);
    void perform(const core::Say& effect);
    void perform(const core::WipeLine& effect);
    void perform(const core::Lock& effect);
    void perform(const core::LockDesktop& effect);
    void perform(const core::UnlockDesktop& effect);
    void perform(const core::ForgetHint& effect);
    void perform(const core::LookForGaps& effect);
    void perform(const core::RenewPrompts& effect);
    void perform(const core::Unlock& effect);
    void perform(const core::KillFrozen& effect);
    void perform(const core::Terminate& effect);
    void perform(const core::KillScope& effect);
    void perform(const core::CheckGone& effect);
    void perform(const core::WatchAsker& effect);
    void perform(const core::ForgetAsker& effect);
    void perform(const core::Audit& effect);
    void perform(const std::convertible_to<Reply> auto& effect) { respond(effect.token, effect); }

    static int on_idle(sd_event_source*, void* userdata) noexcept;
    static int on_timer(sd_event_source*, std::uint64_t, void* userdata) noexcept;
    static int on_guard_again(sd_event_source*, std::uint64_t, void* userdata) noexcept;
    static int on_asker_gone(sd_event_source* source, int, std::uint32_t, void* userdata) noexcept;
    static int on_carrier_gone(sd_event_source* source, int, std::uint32_t,
                               void* userdata) noexcept;
    static int on_elevated_changed(sd_event_source* source, const struct inotify_event*,
                                   void* userdata) noexcept;
    static int on_leader_gone(sd_event_source* source, int, std::uint32_t, void* userdata) noexcept;

    sd_event* loop_;
    sd_bus* system_bus_ = nullptr;
    std::optional<enforce::ServiceManager> service_manager_;
    store::RuntimeStore store_;
    store::BlockFiles block_files_;
    core::Machine machine_;
    std::unique_ptr<enforce::ActivityWatch> activity_;
    std::unique_ptr<enforce::ConsoleWatch> console_watch_; ///< while a lock console asks
    base::EventSource guard_again_; ///< while a locked console is in front all the same
    base::EventSource timer_;
    base::EventSource idle_; ///< for locks that are due, when the loop has nothing else
    std::deque<core::SessionId> locks_due_;
    BootTime locks_due_since_{};
    enforce::Redraw redraw_;
    enforce::MovedReader moved_;
    std::unordered_map<core::SessionId, Watched> watched_;
    std::map<core::SessionId, Asker> askers_; ///< by request
    std::unordered_map<core::Token, Responder> waiting_;
    std::unordered_multimap<uid_t, core::SessionId> by_user_;
    std::unordered_map<std::uint64_t, core::SessionId> by_terminal_; ///< those that are watched
    enforce::DesktopWatch desktops_;
    std::set<std::string> old_hints_; ///< logind's ids of those whose desktop's hint is to go
    core::Token next_token_ = 1;
    std::deque<core::Event> events_;
    bool draining_ = false;
    bool write_failed_ = false;       ///< and was complained about
    const std::string store_trouble_; ///< of the start: no write puts that right
    std::string store_error_;
};

} // namespace vigil::shell
