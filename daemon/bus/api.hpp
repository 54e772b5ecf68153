#pragma once
// org.vigil1 on a bus connection: ONE table says method -> signature -> who may call -> handler
// (methods.cpp). A handler does four things: parse, (authorized by the table,) one call, reply.

#include "base/systemd.hpp"
#include "daemon/factors/factors.hpp"
#include "daemon/shell/policy_keeper.hpp"
#include "daemon/shell/shell.hpp"
#include "wire/errors.hpp"

#include <map>

namespace vigil::bus {

/// Where a connection comes from.
struct Endpoint {
    class Api* api = nullptr;
    bool direct = false;    ///< /run/vigil/bus: the socket's mode and SO_PEERCRED let only root in
    std::size_t asking = 0; ///< calls whose caller the broker is being asked for
};

/// Calls of one broker waiting to learn their caller; beyond that they are refused at once.
inline constexpr std::size_t max_asking = 4096;

/// One method call under way. Handed to handlers; may be kept (by value) until the reply.
struct Call {
    std::shared_ptr<sd_bus_message> message;
    uid_t uid = static_cast<uid_t>(-1); ///< who calls, from the kernel or the broker; never a field
    pid_t pid = 0; ///< the same of the process, where the table says so; 0: not known
    /// Whose things the caller is shown; nullopt: everybody's. Set by the table.
    std::optional<uid_t> shown = uid;
    /// The id in the path of a session's object; "": the first argument names the session.
    std::string session = {};

    sd_bus_message* get() const noexcept { return message.get(); }
};

/// Replies once, whatever the core answers with.
void answer(const Call& call, const shell::Reply& reply);

class Api {
public:
    /// `factors` is null when no factor can be checked; `factors_error` then says why.
    Api(shell::Shell& shell, shell::PolicyKeeper& policy, factors::Factors* factors,
        std::string factors_error);

    /// Adds the objects to a connection. `endpoint` outlives the connection.
    Result<> attach(sd_bus* bus, Endpoint& endpoint);

    /// For logins that could not say a word.
    void adopt_unknown() { shell_.adopt_unknown(); }

    // Handlers, by what they are about. Each returns an Error only before it has replied.
    Result<> reserve(const Call& call); // login_methods.cpp
    Result<> prepare(const Call& call);
    Result<> confirm(const Call& call);
    Result<> release(const Call& call);
    Result<> ask(const Call& call); // step_up_methods.cpp
    Result<> prove(const Call& call);
    Result<> ask_command(const Call& call);
    Result<> prove_command(const Call& call);
    Result<> list_grants(const Call& call); // grant_methods.cpp
    Result<> revoke(const Call& call);
    Result<> lock_info(const Call& call); // lock_methods.cpp
    Result<> unlocked(const Call& call);
    Result<> unlock_failed(const Call& call);
    Result<> screen_seen(const Call& call);
    Result<> list(const Call& call); // session_methods.cpp
    Result<> show(const Call& call);
    Result<> lock(const Call& call);
    Result<> unlock(const Call& call);
    Result<> lock_for_sleep(const Call& call);
    Result<> terminate(const Call& call);
    Result<> status(const Call& call); // host_methods.cpp
    Result<> examine(const Call& call);
    Result<> reload(const Call& call);
    Result<> enroll_totp(const Call& call); // factor_methods.cpp
    Result<> enroll_finish(const Call& call);
    Result<> renew_recovery(const Call& call);
    Result<> list_factors(const Call& call);
    Result<> forget(const Call& call);

    /// The uid that owns what the first argument names; nullopt: there is no such thing.
    std::optional<uid_t> owner_of_session(const std::string& id) const;
    std::optional<uid_t> owner_of_factor(const std::string& id);
    std::optional<uid_t> owner_of_grant(const std::string& id) const;
    /// Whether a code is the caller's own and counts, for adding another. It is used up by this.
    Result<> prove_own(const Call& call, std::string_view code);

private:
    wire::Session describe(const core::SessionView& view) const;
    Error no_factors(const Call& call) const;
    std::vector<policy::Factor> unlock_factors(const core::SessionView& view,
                                               const std::vector<enforce::ForeignHolder>& readers);
    /// `age`: who reads the terminal may have been looked for so long ago.
    void tell_lock(const Call& call, const core::SessionId& id, const std::string& terminal,
                   Microseconds age);
    void tell_proofs(wire::LockInfo& info, const core::SessionView& view,
                     const std::string& terminal, Microseconds age);
    void prove_unlock(const Call& call, const wire::StepUpRequest& request,
                      const wire::Proof& proof);
    Result<> reply_to(const Call& call, const Result<struct Question>& question);
    Result<> judge(const Call& call, const Result<struct Question>& question);
    Result<core::StepUpAsked> gather(const struct Question& question);
    void note_asker(const Call& call, const core::SessionId& id);
    /// The caller's name, and of root the login that he works from: where operators are several,
    /// all of them are root.
    std::string orderer(const Call& call) const;
    /// Gives the core an event that `call` waits on; the answer goes out when the core has one.
    template <typename Event>
    Result<> put(const Call& call, Event event) {
        event.token = shell_.expect([call](const shell::Reply& what) { answer(call, what); });
        if (event.token == 0)
            return fail(wire::code_too_many, "vigild has too many requests waiting.");
        shell_.dispatch(std::move(event));
        return {};
    }

    shell::Shell& shell_;
    shell::PolicyKeeper& policy_;
    factors::Factors* factors_;
    std::string factors_error_;
    WallTime started_;
    /// Of sessions, who asked for a lock last.
    std::map<core::SessionId, base::Process> askers_;
};

/// A reply filled by `fill`; a failure to build or send it is logged and the call answered Broken.
void reply(const Call& call, const std::function<Result<>(sd_bus_message*)>& fill);
void reply_error(const Call& call, const char* name, const std::string& text);

/// The name of whoever calls, or his number. Nothing more is looked up: this is asked in the loop.
std::string caller_name(const Call& call);

std::uint64_t wire_time(WallTime time) noexcept;
std::uint64_t wire_limit(Seconds limit) noexcept;

} // namespace vigil::bus
