#pragma once
// org.vigil1 on a bus connection: ONE table says method -> signature -> who may call -> handler
// (methods.cpp). A handler does four things: parse, (authorized by the table,) one call, reply.

#include "base/systemd.hpp"
#include "daemon/bus/incoming.hpp"
#include "daemon/bus/polkit.hpp"
#include "daemon/factors/factors.hpp"
#include "daemon/factors/nonces.hpp"
#include "daemon/shell/policy_keeper.hpp"
#include "daemon/shell/shell.hpp"
#include "wire/errors.hpp"
#include "wire/security_key.hpp"

#include <map>
#include <set>

namespace vigil::bus {

/// One method call under way. Handed to handlers; may be kept (by value) until the reply.
struct Call {
    std::shared_ptr<Incoming> message;
    uid_t uid = static_cast<uid_t>(-1); ///< who calls, from the kernel or the broker; never a field
    pid_t pid = 0; ///< the same of the process, where the table says so; 0: not known
    /// Whose things the caller is shown; nullopt: everybody's. Set by the table.
    std::optional<uid_t> shown = uid;
    /// The id in the path of a session's object; "": the first argument names the session.
    std::string session = {};
    /// Root, or polkit has said that the caller may do what operators do. Set by the table.
    bool is_operators = false;

    /// What the handlers before have not read.
    base::ValueSource& arguments() const noexcept { return message->arguments(); }
};

/// What a call is allowed by, where it is not refused at once.
struct Allowed {
    std::optional<PolkitAction> polkit_action =
        {};            ///< polkit is asked first; nullopt: it is allowed
    Error otherwise{}; ///< what the caller is told if polkit says no
};

/// Replies once, whatever the core answers with.
void answer(const Call& call, const shell::Reply& reply);

class Api {
public:
    /// `factors` is null when no factor can be checked; `factors_error` then says why.
    Api(shell::Shell& shell, shell::PolicyKeeper& policy, factors::Factors* factors,
        std::string factors_error);

    /// For logins that could not say a word.
    void adopt_unknown() { shell_.adopt_unknown(); }

    // Handlers, by what they are about. Each returns an Error only before it has replied.
    Result<> reserve(const Call& call); // login_methods.cpp
    Result<> prepare(const Call& call);
    Result<> confirm(const Call& call);
    Result<> release(const Call& call);
    Result<> elevated(const Call& call);
    Result<> ask(const Call& call); // step_up_methods.cpp
    Result<> prove(const Call& call);
    Result<> ask_command(const Call& call);
    Result<> prove_command(const Call& call);
    Result<> ask_login(const Call& call);
    Result<> prove_login(const Call& call);
    Result<> challenge(const Call& call); // step_up_keys.cpp
    Result<> challenge_command(const Call& call);
    Result<> request(const Call& call); // request_methods.cpp
    Result<> request_command(const Call& call);
    Result<> await(const Call& call);
    Result<> list_requests(const Call& call);
    Result<> approve(const Call& call);
    Result<> deny(const Call& call);
    Result<> list_grants(const Call& call); // grant_methods.cpp
    Result<> list_all_grants(const Call& call);
    Result<> revoke(const Call& call);
    Result<> block(const Call& call); // block_methods.cpp
    Result<> unblock(const Call& call);
    Result<> list_blocks(const Call& call);
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
    Result<> rehearse(const Call& call);
    Result<> confirm_rehearsal(const Call& call);
    Result<> enroll_totp(const Call& call); // factor_methods.cpp
    Result<> enroll_finish(const Call& call);
    Result<> renew_recovery(const Call& call);
    Result<> enroll_key(const Call& call); // key_methods.cpp
    Result<> enroll_key_finish(const Call& call);
    Result<> key_challenge(const Call& call);
    Result<> make_ticket(const Call& call);  // enrolment.cpp
    Result<> list_factors(const Call& call); // factor_methods.cpp
    Result<> forget(const Call& call);
    Result<> factors_key(const Call& call); // rekey_methods.cpp
    Result<> rekey(const Call& call);

    /// The uid that owns what the first argument names; nullopt: there is no such thing.
    std::optional<uid_t> owner_of_session(const std::string& id) const;
    std::optional<uid_t> owner_of_factor(const std::string& id);
    std::optional<uid_t> owner_of_grant(const std::string& id) const;
    /// Whether this is a proof of a factor that the caller has: a code, a recovery code, or what a
    /// key has signed (wire::KeyAnswer). It is used up by this.
    Result<> prove_own(const Call& call, std::string_view proof);
    /// What cannot be enrolled takes no ticket and no code with it. `texts`: the method's
    /// arguments, without the proof.
    Result<> check_enrolment(const Call& call, const std::vector<std::string>& texts);
    /// The same to enrol one, where a ticket is as good; and who never had a factor is asked for
    /// his password, by polkit.
    Result<Allowed> allow_enrolling(const Call& call, std::string_view proof);
    /// Not known is no.
    bool never_had_factor(uid_t uid);
    /// The same for its owner to forget this factor: an operator's, where it is the last.
    Result<Allowed> allow_forgetting(const Call& call, const std::string& id,
                                     std::string_view proof);
    /// Room for one more question to polkit by this user; given back by answered_by_polkit().
    bool may_ask_polkit(const Call& call, PolkitAction action);
    void answered_by_polkit(const Call& call, PolkitAction action);
    /// Tells of the tickets that nobody used. Asked for wherever tickets are.
    void lapse_tickets();

private:
    Result<> use_ticket(const Call& call, std::string_view proof);
    factors::Source source_of_caller(const Call& call);
    void tell_factor(core::FactorNews::What what, uid_t uid, std::string text);
    void tell_copied_key(std::string_view blob, uid_t uid);
    wire::Session describe(const core::SessionView& view) const;
    Error no_factors(const Call& call) const;
    bool has_skipped_proof(const wire::Login& login) const;
    void tell_grants(const Call& call, std::optional<std::uint32_t> whose);
    Result<> prove_own_key(const Call& call, const wire::KeyAnswer& answer);
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
    Result<> request_approval(const Call& call, const Result<struct Question>& question);
    Result<> answer_request(const Call& call, bool yes);
    Result<> ask_key(const Call& call, const Result<struct Question>& question);
    void judge_key(core::ProofChecked& checked, std::string_view answer,
                   const std::array<std::uint8_t, 16>& attempt, const Now& now);
    /// Who asks, from where and for what, without what he could prove.
    Result<core::StepUpAsked> gather(const struct Question& question);
    Result<core::StepUpAsked> gather_login(const struct Question& question);
    void look_at_factors(core::StepUpAsked& asked);
    /// Both.
    Result<core::StepUpAsked> gather_all(const struct Question& question);
    /// Where what is typed comes from.
    factors::Source asked_from(const core::StepUpAsked& asked) const;
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
    std::map<uid_t, std::size_t> asked_of_polkit_;
    /// Whose passwords polkit is asking for, so that they can enrol a first factor: each can once
    /// do without what he has not got yet (core::StepUpAsked::enrols_first).
    std::set<uid_t> first_enrolments_;
    factors::Nonces<uid_t> key_nonces_;
    factors::Nonces<std::pair<pid_t, std::uint64_t>> step_up_nonces_; ///< by the asking process
    WallTime started_;
    /// Of sessions, who asked for a lock last.
    std::map<core::SessionId, base::Process> askers_;
};

/// A reply filled by `fill`; a failure to build or send it is logged and the call answered Broken.
void reply(const Call& call, const Incoming::Fill& fill);
void reply_error(const Call& call, const char* name, const std::string& text);

/// A name, or the number. Nothing more is looked up: this is asked in the loop.
std::string name_of(uid_t uid);
std::string caller_name(const Call& call);

/// As people know it, from the kernel; "this host" where that has none.
std::string host_name();

std::uint64_t wire_time(WallTime time) noexcept;
std::uint64_t wire_limit(Seconds limit) noexcept;

} // namespace vigil::bus
