#include "daemon/bus/methods.hpp"

#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/secret.hpp"
#include "wire/errors.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace vigil::bus {

namespace {

/// Who may call a method. Root may call everything, and is shown everything; others are shown what
/// is their own (Call::shown).
enum class Who {
    root,          ///< the login path and what concerns everybody
    session_owner, ///< the object, or the first argument, is a session of the caller's
    factor_owner,  ///< the first argument names a factor of the caller's
    oneself,       ///< the first argument names the caller, or nobody, who is he
    /// The same, and the last argument is a proof of a factor of his: whoever sits down at an open
    /// terminal is not to make it his own.
    oneself_proved,
    /// The same, or a ticket; and who never had a factor gives his password to polkit. For others
    /// an operator does it.
    enroller,
    factor_forgetter, ///< the owner of the first argument, with such a proof; else an operator
    factor_operator,  ///< root, and whom polkit lets
    grant_revoker,    ///< the owner of the first argument, a grant; else an operator
    grant_operator,   ///< root, and whom polkit lets
    anybody,
};

struct Method : Signed {
    Who who;
    Result<> (Api::*handler)(const Call&);
    bool of_process = false; ///< Call::pid is asked for
};

constexpr auto manager = wire::manager_interface;
constexpr auto session = wire::session_interface;
constexpr auto stepup = wire::stepup_interface;

// The signatures are those of wire/codec.hpp, spelt out where sd-bus needs one literal.
constexpr std::array methods{
    Method{{manager, "Reserve", "h(suassss)", "ust"}, Who::root, &Api::reserve},
    Method{{manager, "Prepare", "h", "t"}, Who::root, &Api::prepare},
    Method{{manager, "Confirm", "h(suassss)", "s"}, Who::root, &Api::confirm},
    Method{{manager, "Release", "h", ""}, Who::root, &Api::release},
    Method{{manager, "Elevated", "hss", "s"}, Who::root, &Api::elevated},
    Method{{stepup, "Ask", "hu(suassss)s", "usasst"}, Who::root, &Api::ask},
    Method{{stepup, "Prove", "hu(suassss)sssbay", "usast"}, Who::root, &Api::prove},
    Method{{stepup, "AskCommand", "hu(suassss)sayayayaaybbbay", "usasst"},
           Who::root,
           &Api::ask_command},
    Method{{stepup, "ProveCommand", "hu(suassss)sayayayaaybbbayssbay", "usast"},
           Who::root,
           &Api::prove_command},
    Method{{stepup, "AskLogin", "hu(suassss)ss", "usasst"}, Who::root, &Api::ask_login},
    Method{{stepup, "ProveLogin", "hu(suassss)ssssbay", "usast"}, Who::root, &Api::prove_login},
    Method{{stepup, "Challenge", "hu(suassss)s", "sas"}, Who::root, &Api::challenge},
    Method{{stepup, "ChallengeCommand", "hu(suassss)sayayayaaybbbay", "sas"},
           Who::root,
           &Api::challenge_command},
    Method{{stepup, "Request", "hu(suassss)ss", "sst"}, Who::root, &Api::request},
    Method{{stepup, "RequestCommand", "hu(suassss)sayayayaaybbbays", "sst"},
           Who::root,
           &Api::request_command},
    Method{{stepup, "Await", "hs", "usast"}, Who::root, &Api::await},
    // Whose they are to see and to answer is the core's to say.
    Method{{manager, "Requests", "", "aa{sv}"}, Who::anybody, &Api::list_requests, true},
    Method{{manager, "Approve", "ss", ""}, Who::anybody, &Api::approve, true},
    Method{{manager, "Deny", "sss", ""}, Who::anybody, &Api::deny, true},
    Method{{manager, "Grants", "", "aa{sv}"}, Who::anybody, &Api::list_grants},
    Method{{manager, "AllGrants", "", "aa{sv}"}, Who::grant_operator, &Api::list_all_grants},
    Method{{manager, "Revoke", "s", ""}, Who::grant_revoker, &Api::revoke, true},
    Method{{manager, "Block", "sst", ""}, Who::root, &Api::block, true},
    Method{{manager, "Unblock", "s", ""}, Who::root, &Api::unblock, true},
    Method{{manager, "Blocks", "", "aa{sv}"}, Who::root, &Api::list_blocks},
    Method{{manager, "LockInfo", "ss", "a{sv}"}, Who::root, &Api::lock_info},
    Method{{manager, "Unlocked", "sss", ""}, Who::root, &Api::unlocked},
    Method{{manager, "UnlockFailed", "ss", "t"}, Who::root, &Api::unlock_failed},
    Method{{manager, "ScreenSeen", "ssss", ""}, Who::root, &Api::screen_seen},
    Method{{manager, "LockForSleep", "", ""}, Who::root, &Api::lock_for_sleep},
    Method{{manager, "List", "", "aa{sv}"}, Who::anybody, &Api::list},
    Method{{manager, "Show", "s", "a{sv}"}, Who::session_owner, &Api::show},
    Method{{manager, "Lock", "ss", ""}, Who::session_owner, &Api::lock, true},
    Method{{manager, "Unlock", "ss", ""}, Who::root, &Api::unlock, true},
    Method{{manager, "Terminate", "ss", ""}, Who::session_owner, &Api::terminate, true},
    Method{{session, "Show", "", "a{sv}"}, Who::session_owner, &Api::show},
    Method{{session, "Lock", "s", ""}, Who::session_owner, &Api::lock, true},
    Method{{session, "Unlock", "s", ""}, Who::root, &Api::unlock, true},
    Method{{session, "Terminate", "s", ""}, Who::session_owner, &Api::terminate, true},
    Method{{manager, "Status", "", "a{sv}"}, Who::anybody, &Api::status},
    Method{{manager, "Examine", "", "aa{sv}"}, Who::root, &Api::examine},
    Method{{manager, "Reload", "", "s"}, Who::root, &Api::reload},
    Method{{manager, "Rehearse", "t", ""}, Who::root, &Api::rehearse, true},
    Method{{manager, "ConfirmRehearsal", "t", ""}, Who::root, &Api::confirm_rehearsal, true},
    Method{{manager, "EnrollTotp", "ssss", "sss"}, Who::enroller, &Api::enroll_totp, true},
    Method{{manager, "RenewRecoveryCodes", "ss", "s"},
           Who::oneself_proved,
           &Api::renew_recovery,
           true},
    Method{{manager, "EnrollFinish", "ss", ""}, Who::factor_owner, &Api::enroll_finish, true},
    Method{{manager, "EnrollKey", "sss", "sssay"}, Who::enroller, &Api::enroll_key, true},
    Method{
        {manager, "EnrollKeyFinish", "sss", ""}, Who::factor_owner, &Api::enroll_key_finish, true},
    Method{{manager, "KeyChallenge", "s", "ssayas"}, Who::oneself, &Api::key_challenge},
    Method{{manager, "Factors", "s", "a(ssussttb)"}, Who::oneself, &Api::list_factors},
    Method{{manager, "Forget", "ss", ""}, Who::factor_forgetter, &Api::forget, true},
    Method{{manager, "MakeTicket", "st", "s"}, Who::factor_operator, &Api::make_ticket, true},
    Method{{manager, "FactorsKey", "", "s"}, Who::root, &Api::factors_key},
    Method{{manager, "Rekey", "hs", "s"}, Who::root, &Api::rekey},
};

/// The leading arguments, all strings, put back for the handler. Fewer than `count`: the message
/// has not got them.
std::vector<std::string> first_arguments(const Call& call, std::size_t count) {
    std::vector<std::string> texts;
    const char* text = nullptr;
    while (texts.size() < count && call.arguments().basic('s', &text) > 0)
        texts.emplace_back(text);
    if (!call.message->rewind())
        texts.clear();
    return texts;
}

/// A name of somebody else is not looked up: that could take long, and would tell who is known.
bool is_oneself(const Call& call, const std::string& user) {
    return user.empty() || user == caller_name(call);
}

/// Default is deny: every yes is a line of its own.
Result<Allowed> authorize(Api& api, const Method& method, const Call& call) {
    // The same words whether it is not there or not his: no oracle.
    const auto denied = fail(wire::code_denied, "There is no such thing, or it is not yours.");
    if (call.uid == static_cast<uid_t>(-1))
        return denied;
    if (call.uid == 0)
        return Allowed{};
    const Allowed for_operators{.polkit_action = PolkitAction::manage_factors,
                                .otherwise = denied.error()};
    const Error operators_grants{wire::code_denied,
                                 "Other people's grants are for root, and whom polkit lets."};
    const auto named = [&] {
        if (!call.session.empty())
            return std::optional{call.session};
        const auto texts = first_arguments(call, 1);
        return texts.empty() ? std::nullopt : std::optional{texts.front()};
    };
    switch (method.who) {
    case Who::root:
        // Whatever is asked for, and whether it is there or not: no oracle either.
        return fail(wire::code_denied, "That is for root alone.");
    case Who::session_owner:
        if (const auto id = named(); id && api.owner_of_session(*id) == call.uid)
            return Allowed{};
        return denied;
    case Who::factor_owner:
        if (const auto id = named(); id && api.owner_of_factor(*id) == call.uid)
            return Allowed{};
        return denied;
    case Who::oneself:
        if (const auto user = named(); user && is_oneself(call, *user))
            return Allowed{};
        return denied;
    case Who::oneself_proved:
    case Who::enroller:
    case Who::factor_forgetter: {
        const std::size_t count = std::strlen(method.in); // all are texts
        auto texts = first_arguments(call, count);
        if (texts.size() != count)
            return denied;
        const base::Secret proof{std::move(texts.back())};
        texts.pop_back();
        if (method.who == Who::factor_forgetter) {
            if (api.owner_of_factor(texts.front()) == call.uid)
                return api.allow_forgetting(call, texts.front(), proof.view());
            return for_operators;
        }
        if (!is_oneself(call, texts.front()))
            return method.who == Who::enroller ? Result<Allowed>{for_operators} : denied;
        if (const auto can = api.check_enrolment(call, texts); !can)
            return std::unexpected{can.error()};
        if (method.who == Who::enroller)
            return api.allow_enrolling(call, proof.view());
        if (const auto proved = api.prove_own(call, proof.view()); !proved)
            return std::unexpected{proved.error()};
        return Allowed{};
    }
    case Who::factor_operator:
        return for_operators;
    case Who::grant_revoker:
        if (const auto id = named(); id && api.owner_of_grant(*id) == call.uid)
            return Allowed{};
        return Allowed{.polkit_action = PolkitAction::manage_grants, .otherwise = denied.error()};
    case Who::grant_operator:
        return Allowed{.polkit_action = PolkitAction::manage_grants, .otherwise = operators_grants};
    case Who::anybody:
        return Allowed{};
    }
    return denied;
}

/// vigild's own trouble is not everybody's to read: the words can name files.
void reply_failure(const Call& call, const char* method, const Error& error) {
    const char* const name = wire::error_of(error);
    if (std::strcmp(name, wire::error_broken) != 0) {
        reply_error(call, name, error.what);
        return;
    }
    base::log(base::Level::error, std::string{method} + ": " + error.what);
    reply_error(call, name, call.shown ? "vigild could not do that: see the journal" : error.what);
}

/// Any session's id has an object, and the table tells nobody whether the session is there.
bool is_object(std::string_view path) {
    return path == wire::manager_path || core::SessionId::from_text(session_in(path)).has_value();
}

const Method* find_method(const Call& call) {
    const std::string_view interface = call.message->interface();
    const bool of_session = !session_in(call.message->path()).empty();
    const auto found = std::ranges::find_if(methods, [&](const Method& method) {
        return std::strcmp(method.name, call.message->member()) == 0 &&
               (std::strcmp(method.interface, session) == 0) == of_session &&
               (interface.empty() || interface == method.interface);
    });
    return found == methods.end() ? nullptr : &*found;
}

void carry_out(Api& api, const Method& method, const Call& call) {
    if (const auto done = (api.*method.handler)(call); !done)
        reply_failure(call, method.name, done.error());
}

/// What an operator could do, or a password, is not told to who is not the one and has not the
/// other: but why nobody could be asked for it.
Error told_of(PolkitSays says, PolkitAction action, const Error& otherwise) {
    if (action != PolkitAction::enroll_first)
        return otherwise;
    const std::string ticket = "an administrator's ticket does it as well: --ticket.";
    switch (says) {
    case PolkitSays::nobody_to_ask:
        return {wire::code_denied,
                "Your password is asked for at a terminal, and there is none; " + ticket};
    case PolkitSays::given_up:
        return {wire::code_denied, "No password was given, so nothing is enrolled."};
    case PolkitSays::not_there:
        return {wire::code_denied,
                "Your password cannot be asked for, since polkit does not answer; " + ticket};
    case PolkitSays::no_answer:
        return {wire::code_denied, "Nobody gave your password in time, so nothing is enrolled."};
    case PolkitSays::no:
    case PolkitSays::yes:
        break;
    }
    return otherwise;
}

/// The answer comes some dispatches later, and then the call is carried out or refused. A bus that
/// ends before takes both with it.
void ask_first(Api& api, const Method& method, const Call& call, PolkitAction action,
               const Error& otherwise) {
    auto* const message = call.message->brokered();
    if (!message || !api.may_ask_polkit(call, action)) {
        reply_error(call, wire::error_too_many, "There are too many questions to polkit waiting.");
        return;
    }
    // Whichever way it ends, by an answer or with the bus.
    const std::shared_ptr<void> counted{
        nullptr, [&api, call, action](void*) { api.answered_by_polkit(call, action); }};
    const bool interactive = sd_bus_message_get_allow_interactive_authorization(message) > 0;
    const auto asked = ask_polkit(
        message, action, interactive,
        [&api, &method, call, action, counted, otherwise](PolkitSays says) {
            guarded(call, [&] {
                // He may have enrolled one meanwhile, and then the password was the wrong question.
                const bool is_first = action == PolkitAction::enroll_first;
                if (says != PolkitSays::yes || (is_first && !api.never_had_factor(call.uid)))
                    return reply_failure(call, method.name, told_of(says, action, otherwise));
                Call let = call;
                let.is_operators = !is_first;
                carry_out(api, method, let);
            });
        });
    if (!asked)
        reply_failure(call, method.name, {wire::code_broken, asked.error().text()});
}

} // namespace

std::string session_in(std::string_view path) {
    const std::string_view parent = wire::session_path;
    return path.starts_with(parent) && path.size() > parent.size() && path[parent.size()] == '/'
               ? std::string{path.substr(parent.size() + 1)}
               : std::string{};
}

bool asks_for_process(const Call& call) {
    const auto* const method = find_method(call);
    return method != nullptr && method->of_process;
}

std::vector<Signed> methods_of(const char* interface) {
    std::vector<Signed> found;
    for (const Method& method : methods)
        if (std::strcmp(method.interface, interface) == 0)
            found.push_back(method);
    return found;
}

void refuse_broken(const Call& call) noexcept {
    try {
        call.message->refuse(wire::error_broken, "vigild could not do that");
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
    }
}

void handle(Api& api, Call call) {
    const auto* const method = find_method(call);
    // As sd-bus answers where the call came by a broker.
    if (method == nullptr || !is_object(call.message->path())) {
        reply_error(call, "org.freedesktop.DBus.Error.UnknownMethod", "There is no such method.");
        return;
    }
    if (std::strcmp(method->in, call.message->signature()) != 0) {
        reply_error(call, "org.freedesktop.DBus.Error.InvalidArgs", "It takes other arguments.");
        return;
    }
    call.session = session_in(call.message->path());
    call.shown = call.uid == 0 ? std::nullopt : std::optional{call.uid};
    call.is_operators = call.uid == 0;
    const auto allowed = authorize(api, *method, call);
    if (!allowed)
        reply_failure(call, method->name, allowed.error());
    else if (allowed->polkit_action)
        ask_first(api, *method, call, *allowed->polkit_action, allowed->otherwise);
    else
        carry_out(api, *method, call);
}

Api::Api(shell::Shell& shell, shell::PolicyKeeper& policy, factors::Factors* factors,
         std::string factors_error)
    : shell_{shell}, policy_{policy}, factors_{factors}, factors_error_{std::move(factors_error)},
      started_{base::read_clocks().wall} {}

} // namespace vigil::bus
