#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/secret.hpp"
#include "daemon/bus/api.hpp"
#include "wire/bus_codec.hpp"
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
    grant_owner,   ///< the same of a grant
    oneself,       ///< the first argument names the caller, or nobody, who is he
    /// The same, and the last argument is a proof of a factor of his: whoever sits down at an open
    /// terminal is not to make it his own.
    oneself_proved,
    /// The same, or a ticket; and who never had a factor gives his password to polkit. For others
    /// an operator does it.
    enroller,
    factor_forgetter, ///< the owner of the first argument, with such a proof; else an operator
    factor_operator,  ///< root, and whom polkit lets
    anybody,
};

struct Method {
    const char* interface;
    const char* name;
    const char* in;
    const char* out;
    Who who;
    Result<> (Api::*handler)(const Call&);
    bool of_process = false; ///< Call::pid is asked for
};

constexpr auto manager = wire::manager_interface;
constexpr auto session = wire::session_interface;
constexpr auto stepup = wire::stepup_interface;

// The signatures are those of wire/codec.hpp, spelt out where sd-bus needs one literal.
constexpr std::array methods{
    Method{manager, "Reserve", "h(suassss)", "ust", Who::root, &Api::reserve},
    Method{manager, "Prepare", "h", "t", Who::root, &Api::prepare},
    Method{manager, "Confirm", "h(suassss)", "s", Who::root, &Api::confirm},
    Method{manager, "Release", "h", "", Who::root, &Api::release},
    Method{manager, "Elevated", "hss", "s", Who::root, &Api::elevated},
    Method{stepup, "Ask", "hu(suassss)s", "usasst", Who::root, &Api::ask},
    Method{stepup, "Prove", "hu(suassss)sssbay", "usast", Who::root, &Api::prove},
    Method{stepup, "AskCommand", "hu(suassss)sayayaaybbbay", "usasst", Who::root,
           &Api::ask_command},
    Method{stepup, "ProveCommand", "hu(suassss)sayayaaybbbayssbay", "usast", Who::root,
           &Api::prove_command},
    Method{stepup, "AskLogin", "hu(suassss)ss", "usasst", Who::root, &Api::ask_login},
    Method{stepup, "ProveLogin", "hu(suassss)ssssbay", "usast", Who::root, &Api::prove_login},
    Method{stepup, "Challenge", "hu(suassss)s", "sas", Who::root, &Api::challenge},
    Method{stepup, "ChallengeCommand", "hu(suassss)sayayaaybbbay", "sas", Who::root,
           &Api::challenge_command},
    Method{stepup, "Request", "hu(suassss)ss", "sst", Who::root, &Api::request},
    Method{stepup, "RequestCommand", "hu(suassss)sayayaaybbbays", "sst", Who::root,
           &Api::request_command},
    Method{stepup, "Await", "hs", "usast", Who::root, &Api::await},
    // Whose they are to see and to answer is the core's to say.
    Method{manager, "Requests", "", "aa{sv}", Who::anybody, &Api::list_requests, true},
    Method{manager, "Approve", "ss", "", Who::anybody, &Api::approve, true},
    Method{manager, "Deny", "sss", "", Who::anybody, &Api::deny, true},
    Method{manager, "Grants", "", "aa{sv}", Who::anybody, &Api::list_grants},
    Method{manager, "Revoke", "s", "", Who::grant_owner, &Api::revoke, true},
    Method{manager, "LockInfo", "ss", "a{sv}", Who::root, &Api::lock_info},
    Method{manager, "Unlocked", "sss", "", Who::root, &Api::unlocked},
    Method{manager, "UnlockFailed", "ss", "t", Who::root, &Api::unlock_failed},
    Method{manager, "ScreenSeen", "ssss", "", Who::root, &Api::screen_seen},
    Method{manager, "LockForSleep", "", "", Who::root, &Api::lock_for_sleep},
    Method{manager, "List", "", "aa{sv}", Who::anybody, &Api::list},
    Method{manager, "Show", "s", "a{sv}", Who::session_owner, &Api::show},
    Method{manager, "Lock", "ss", "", Who::session_owner, &Api::lock, true},
    Method{manager, "Unlock", "ss", "", Who::root, &Api::unlock, true},
    Method{manager, "Terminate", "ss", "", Who::session_owner, &Api::terminate, true},
    Method{session, "Show", "", "a{sv}", Who::session_owner, &Api::show},
    Method{session, "Lock", "s", "", Who::session_owner, &Api::lock, true},
    Method{session, "Unlock", "s", "", Who::root, &Api::unlock, true},
    Method{session, "Terminate", "s", "", Who::session_owner, &Api::terminate, true},
    Method{manager, "Status", "", "a{sv}", Who::anybody, &Api::status},
    Method{manager, "Examine", "", "aa{sv}", Who::root, &Api::examine},
    Method{manager, "Reload", "", "s", Who::root, &Api::reload},
    Method{manager, "EnrollTotp", "ssss", "sss", Who::enroller, &Api::enroll_totp, true},
    Method{manager, "RenewRecoveryCodes", "ss", "as", Who::oneself_proved, &Api::renew_recovery,
           true},
    Method{manager, "EnrollFinish", "ss", "", Who::factor_owner, &Api::enroll_finish, true},
    Method{manager, "EnrollKey", "sss", "sssay", Who::enroller, &Api::enroll_key, true},
    Method{manager, "EnrollKeyFinish", "sss", "", Who::factor_owner, &Api::enroll_key_finish, true},
    Method{manager, "KeyChallenge", "s", "ssayas", Who::oneself, &Api::key_challenge},
    Method{manager, "Factors", "s", "a(ssussttb)", Who::oneself, &Api::list_factors},
    Method{manager, "Forget", "ss", "", Who::factor_forgetter, &Api::forget, true},
    Method{manager, "MakeTicket", "st", "s", Who::factor_operator, &Api::make_ticket, true},
    Method{manager, "FactorsKey", "", "s", Who::root, &Api::factors_key},
    Method{manager, "Rekey", "hs", "s", Who::root, &Api::rekey},
};

/// The leading arguments, all strings, put back for the handler. Fewer than `count`: the message
/// has not got them.
std::vector<std::string> first_arguments(sd_bus_message* message, std::size_t count) {
    std::vector<std::string> texts;
    const char* text = nullptr;
    while (texts.size() < count && sd_bus_message_read_basic(message, 's', &text) > 0)
        texts.emplace_back(text);
    if (sd_bus_message_rewind(message, 1) < 0)
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
    const Allowed for_operators{.polkit_action = manage_factors_action,
                                .otherwise = denied.error()};
    const auto named = [&] {
        if (!call.session.empty())
            return std::optional{call.session};
        const auto texts = first_arguments(call.get(), 1);
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
    case Who::grant_owner:
        if (const auto id = named(); id && api.owner_of_grant(*id) == call.uid)
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
        auto texts = first_arguments(call.get(), count);
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

/// The id in a session object's path, "" where it is none.
std::string session_in(std::string_view path) {
    const std::string_view parent = wire::session_path;
    return path.starts_with(parent) && path.size() > parent.size() && path[parent.size()] == '/'
               ? std::string{path.substr(parent.size() + 1)}
               : std::string{};
}

const Method* find_method(const Call& call) {
    const auto* member = sd_bus_message_get_member(call.get());
    const auto* interface = sd_bus_message_get_interface(call.get());
    const bool of_session = !session_in(sd_bus_message_get_path(call.get())).empty();
    const auto found = std::ranges::find_if(methods, [&](const Method& method) {
        return std::strcmp(method.name, member) == 0 &&
               (std::strcmp(method.interface, session) == 0) == of_session &&
               (interface == nullptr || std::strcmp(method.interface, interface) == 0);
    });
    return found == methods.end() ? nullptr : &*found;
}

/// What is thrown ends with an answer.
template <typename Doing>
void guarded(sd_bus_message* message, Doing doing) noexcept {
    try {
        doing();
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
        sd_bus_reply_method_errorf(message, wire::error_broken, "vigild could not do that");
    }
}

void carry_out(Endpoint& endpoint, const Method& method, const Call& call) {
    if (const auto done = (endpoint.api->*method.handler)(call); !done)
        reply_failure(call, method.name, done.error());
}

/// What an operator could do, or a password, is not told to who is not the one and has not the
/// other: but why nobody could be asked for it.
Error told_of(PolkitSays says, const char* action, const Error& otherwise) {
    if (std::strcmp(action, enroll_first_action) != 0)
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
void ask_first(Endpoint& endpoint, const Method& method, const Call& call, const Allowed& allowed) {
    const char* const action = allowed.polkit_action;
    if (endpoint.direct || !endpoint.api->may_ask_polkit(call, action)) {
        reply_error(call, wire::error_too_many, "There are too many questions to polkit waiting.");
        return;
    }
    // Whichever way it ends, by an answer or with the bus.
    const std::shared_ptr<void> counted{nullptr, [&endpoint, call, action](void*) {
                                            endpoint.api->answered_by_polkit(call, action);
                                        }};
    const bool interactive = sd_bus_message_get_allow_interactive_authorization(call.get()) > 0;
    const auto asked = ask_polkit(
        call.get(), action, interactive,
        [&endpoint, &method, call, action, counted,
         otherwise = allowed.otherwise](PolkitSays says) {
            guarded(call.get(), [&] {
                // He may have enrolled one meanwhile, and then the password was the wrong question.
                const bool is_first = std::strcmp(action, enroll_first_action) == 0;
                if (says != PolkitSays::yes ||
                    (is_first && !endpoint.api->never_had_factor(call.uid)))
                    return reply_failure(call, method.name, told_of(says, action, otherwise));
                Call let = call;
                let.is_operators = !is_first;
                carry_out(endpoint, method, let);
            });
        });
    if (!asked)
        reply_failure(call, method.name, {wire::code_broken, asked.error().text()});
}

void handle(Endpoint& endpoint, Call call) {
    const auto* const method = find_method(call);
    if (method == nullptr) {
        reply_error(call, wire::error_invalid, "There is no such method.");
        return;
    }
    call.session = session_in(sd_bus_message_get_path(call.get()));
    call.shown = call.uid == 0 ? std::nullopt : std::optional{call.uid};
    call.is_operators = call.uid == 0;
    const auto allowed = authorize(*endpoint.api, *method, call);
    if (!allowed)
        reply_failure(call, method->name, allowed.error());
    else if (allowed->polkit_action != nullptr)
        ask_first(endpoint, *method, call, *allowed);
    else
        carry_out(endpoint, *method, call);
}

/// What the broker is asked of a caller, by the names of its methods.
enum class Asked { user, process };

constexpr const char* method_of(Asked question) noexcept {
    return question == Asked::user ? "GetConnectionUnixUser" : "GetConnectionUnixProcessID";
}

/// A call whose caller the broker was asked for.
struct Introduced {
    Endpoint* endpoint;
    Call call;
    Asked question;
};

void introduce(Endpoint& endpoint, Call call, Asked question);

/// An error is nobody: an unknown user the table refuses, an unknown process is told of by none.
void go_on(sd_bus_message* answer, Introduced& introduced) {
    std::uint32_t number = 0;
    const bool told = !sd_bus_message_is_method_error(answer, nullptr) &&
                      sd_bus_message_read_basic(answer, 'u', &number) > 0;
    auto& call = introduced.call;
    if (introduced.question == Asked::process) {
        call.pid = told ? static_cast<pid_t>(number) : 0;
    } else {
        call.uid = told ? number : static_cast<uid_t>(-1);
        const auto* const method = find_method(call);
        if (method != nullptr && method->of_process)
            return introduce(*introduced.endpoint, call, Asked::process);
    }
    handle(*introduced.endpoint, call);
}

int on_caller(sd_bus_message* answer, void* userdata, sd_bus_error*) noexcept {
    auto& introduced = *static_cast<Introduced*>(userdata);
    guarded(introduced.call.get(), [&] { go_on(answer, introduced); });
    return 0;
}

/// Asks the broker who calls, and does not wait for it: a broker that hangs would hang the logins
/// on the direct socket. Never by GetConnectionCredentials: dbus-broker puts a descriptor into its
/// answer, and throws out who has not asked for any.
void introduce(Endpoint& endpoint, Call call, Asked question) {
    const auto* sender = sd_bus_message_get_sender(call.get());
    if (sender == nullptr || endpoint.asking >= max_asking) {
        reply_error(call, wire::error_too_many, "vigild has too many requests waiting.");
        return;
    }
    auto* const bus = sd_bus_message_get_bus(call.get());
    auto introduced = std::make_unique<Introduced>(&endpoint, std::move(call), question);
    sd_bus_slot* raw = nullptr;
    if (const int r = sd_bus_call_method_async(
            bus, &raw, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
            method_of(question), on_caller, introduced.get(), "s", sender);
        r < 0) {
        reply_error(introduced->call, wire::error_broken, "vigild cannot ask who calls");
        return;
    }
    const base::BusSlot slot{raw};
    ++endpoint.asking;
    // The slot's end, by an answer or by the bus's, is the end of what it carries.
    sd_bus_slot_set_destroy_callback(slot.get(), [](void* data) {
        const std::unique_ptr<Introduced> done{static_cast<Introduced*>(data)};
        --done->endpoint->asking;
    });
    introduced.release();
    sd_bus_slot_set_floating(slot.get(), 1);
}

/// The broker vouches for its peers; a direct peer was checked when it connected.
int on_method(sd_bus_message* message, void* userdata, sd_bus_error*) noexcept {
    guarded(message, [&] {
        auto& endpoint = *static_cast<Endpoint*>(userdata);
        Call call{.message = {sd_bus_message_ref(message), sd_bus_message_unref}};
        if (!endpoint.direct)
            return introduce(endpoint, std::move(call), Asked::user);
        call.uid = 0;
        handle(endpoint, std::move(call));
    });
    return 1;
}

/// Any id has an object, and the table tells nobody whether the session is there: which there are
/// is not everybody's to know. So they are not listed below their parent either.
int find_session(sd_bus*, const char* path, const char*, void* userdata, void** found,
                 sd_bus_error*) noexcept {
    *found = userdata;
    try {
        return core::SessionId::from_text(session_in(path)) ? 1 : 0;
    } catch (const std::exception&) {
        return -ENOMEM;
    }
}

/// sd-bus keeps pointers into a vtable, so they live as long as the program.
std::vector<sd_bus_vtable> vtable_of(const char* interface) {
    std::vector<sd_bus_vtable> table;
    table.push_back(SD_BUS_VTABLE_START(0));
    for (const auto& method : methods)
        if (std::strcmp(method.interface, interface) == 0)
            // Unprivileged for sd-bus: who may call is this file's table alone.
            table.push_back(SD_BUS_METHOD(method.name, method.in, method.out, on_method,
                                          SD_BUS_VTABLE_UNPRIVILEGED));
    table.push_back(SD_BUS_VTABLE_END);
    return table;
}

} // namespace

Api::Api(shell::Shell& shell, shell::PolicyKeeper& policy, factors::Factors* factors,
         std::string factors_error)
    : shell_{shell}, policy_{policy}, factors_{factors}, factors_error_{std::move(factors_error)},
      started_{base::read_clocks().wall} {}

Result<> Api::attach(sd_bus* bus, Endpoint& endpoint) {
    static const auto manager_table = vtable_of(wire::manager_interface);
    static const auto stepup_table = vtable_of(wire::stepup_interface);
    static const auto session_table = vtable_of(wire::session_interface);
    int r = sd_bus_add_object_vtable(bus, nullptr, wire::manager_path, wire::manager_interface,
                                     manager_table.data(), &endpoint);
    if (r >= 0)
        r = sd_bus_add_object_vtable(bus, nullptr, wire::manager_path, wire::stepup_interface,
                                     stepup_table.data(), &endpoint);
    if (r >= 0)
        r = sd_bus_add_fallback_vtable(bus, nullptr, wire::session_path, wire::session_interface,
                                       session_table.data(), find_session, &endpoint);
    if (r < 0)
        return fail(r, "adding org.vigil1 to a bus");
    return {};
}

} // namespace vigil::bus
