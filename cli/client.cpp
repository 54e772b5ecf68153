#include "cli/client.hpp"

#include "base/bus_client.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "wire/bus_codec.hpp"
#include "wire/errors.hpp"

#include <cstdio>

#include <unistd.h>

namespace vigil::cli {

namespace {

/// A desktop has 10 s to say that it has locked itself.
constexpr Seconds act_patience{15};
/// All that is sealed is sealed anew: some 5 s where there is as much as there may be.
constexpr Seconds rekey_patience{60};
/// Somebody may be asked for a password: longer than vigild waits for polkit's answer.
constexpr Seconds password_patience{200};

Error away(int code, const std::string& where, const std::string& cause) {
    return {code,
            "vigild does not answer on " + where + " (" + cause + "): systemctl status vigild"};
}

Result<base::BusMessage> call_on(base::BusClient& client, const char* method,
                                 std::initializer_list<const std::string*> arguments,
                                 std::optional<std::uint64_t> number, bool may_ask) {
    auto request = client.message(wire::manager_path, wire::manager_interface, method);
    if (!request)
        return std::unexpected{request.error()};
    if (may_ask)
        sd_bus_message_set_allow_interactive_authorization(request->get(), 1);
    for (const auto* argument : arguments) {
        if (auto done = wire::append_text(request->get(), *argument); !done)
            return std::unexpected{done.error()};
    }
    if (number)
        if (const int r = sd_bus_message_append_basic(request->get(), 't', &*number); r < 0)
            return fail(r, "a number");
    return client.call(std::move(*request));
}

/// What went wrong before anybody can have heard the call, so that another way may be tried.
bool unheard(const Error& error) noexcept {
    return error.code == EHOSTUNREACH || error.code == ENXIO;
}

std::string cause_of(const Error& error) {
    return std::generic_category().message(error.code);
}

} // namespace

Result<base::BusMessage> Client::call(const char* method, Arguments arguments, Microseconds wait,
                                      std::optional<std::uint64_t> number) const {
    // Where nobody can be asked there is nobody to wait for.
    const bool may_ask =
        wait == Microseconds{password_patience} && geteuid() != 0 && isatty(STDIN_FILENO) != 0;
    if (wait == Microseconds{password_patience} && !may_ask)
        wait = patience_;
    const BootTime deadline = base::read_boot_time() + wait;
    const bool usual = socket_.empty();
    if (usual) {
        auto bus = base::BusClient::connect_system(wire::bus_name, deadline);
        auto reply =
            bus ? call_on(*bus, method, arguments, number, may_ask) : std::unexpected{bus.error()};
        if (reply)
            return reply;
        const bool retry = geteuid() == 0 && (!bus || unheard(reply.error()));
        if (!retry && bus && !wire::is_away(reply.error()))
            return reply;
        if (!retry)
            return std::unexpected{away(bus ? reply.error().code : ENOTCONN, "the system bus",
                                        bus ? cause_of(reply.error()) : bus.error().text())};
    }
    const std::string path = usual ? wire::socket_path : socket_;
    auto direct = base::BusClient::connect(path.c_str(), base::read_boot_time() + wait);
    if (!direct && !wire::is_away(direct.error()))
        return fail(direct.error().code, direct.error().text());
    if (!direct)
        return std::unexpected{away(direct.error().code, path, cause_of(direct.error()))};
    auto reply = call_on(*direct, method, arguments, number, may_ask);
    if (!reply && wire::is_away(reply.error()))
        return std::unexpected{away(reply.error().code, path, cause_of(reply.error()))};
    return reply;
}

template <typename T>
Result<T> Client::get(const char* method, Arguments arguments) const {
    return get<T>(method, arguments, patience_);
}

template <typename T>
Result<T> Client::get(const char* method, Arguments arguments, Microseconds wait) const {
    auto reply = call(method, arguments, wait);
    if (!reply)
        return std::unexpected{reply.error()};
    auto value = wire::read<T>(reply->get());
    if (!value)
        return fail(value.error().code, std::string{"vigild's answer to "} + method +
                                            " is not understood: " + value.error().text() +
                                            "; are vigild and vigilctl of one version?");
    return value;
}

Result<> Client::tell(const char* method, Arguments arguments, Microseconds wait) const {
    auto reply = call(method, arguments, wait);
    if (!reply)
        return std::unexpected{reply.error()};
    return {};
}

Result<std::vector<wire::Session>> Client::list() const {
    return get<std::vector<wire::Session>>("List", {});
}

Result<wire::Session> Client::show(const std::string& id) const {
    return get<wire::Session>("Show", {&id});
}

Result<> Client::act(const char* method, const std::string& id, const std::string& reason) const {
    return tell(method, {&id, &reason}, act_patience);
}

Result<> Client::lock_for_sleep() const {
    return tell("LockForSleep", {}, act_patience);
}

Result<wire::Status> Client::status() const {
    return get<wire::Status>("Status", {});
}

Result<std::vector<wire::Finding>> Client::examine() const {
    return get<std::vector<wire::Finding>>("Examine", {});
}

Result<> Client::rehearse(Seconds lasts) const {
    auto reply = call("Rehearse", {}, patience_, static_cast<std::uint64_t>(lasts.count()));
    return reply ? Result<>{} : std::unexpected{reply.error()};
}

Result<> Client::confirm_rehearsal(std::uint64_t until) const {
    auto reply = call("ConfirmRehearsal", {}, patience_, until);
    return reply ? Result<>{} : std::unexpected{reply.error()};
}

Result<std::vector<wire::Grant>> Client::grants() const {
    return get<std::vector<wire::Grant>>("Grants", {});
}

Result<std::vector<wire::Grant>> Client::all_grants() const {
    return get<std::vector<wire::Grant>>("AllGrants", {}, password_patience);
}

Result<> Client::revoke(const std::string& grant) const {
    return tell("Revoke", {&grant}, password_patience);
}

Result<> Client::block(const std::string& user, const std::string& reason, Seconds lasts) const {
    auto reply =
        call("Block", {&user, &reason}, patience_, static_cast<std::uint64_t>(lasts.count()));
    if (!reply)
        return std::unexpected{reply.error()};
    return {};
}

Result<> Client::unblock(const std::string& user) const {
    return tell("Unblock", {&user}, patience_);
}

Result<std::vector<wire::Block>> Client::blocks() const {
    return get<std::vector<wire::Block>>("Blocks", {});
}

Result<std::vector<wire::Request>> Client::requests() const {
    return get<std::vector<wire::Request>>("Requests", {});
}

Result<> Client::approve(const wire::Request& request) const {
    return tell("Approve", {&request.id, &request.digest}, patience_);
}

Result<> Client::deny(const wire::Request& request, const std::string& reason) const {
    return tell("Deny", {&request.id, &request.digest, &reason}, patience_);
}

Result<std::string> Client::reload() const {
    return get<std::string>("Reload", {});
}

Result<wire::Enrollment> Client::enroll_totp(const std::string& user, const std::string& name,
                                             const std::string& code,
                                             const std::string& kind) const {
    return get<wire::Enrollment>("EnrollTotp", {&user, &name, &kind, &code}, password_patience);
}

Result<wire::RecoveryCodes> Client::renew_recovery(const std::string& user,
                                                   const std::string& code) const {
    return get<wire::RecoveryCodes>("RenewRecoveryCodes", {&user, &code});
}

Result<wire::KeyEnrollment> Client::enroll_key(const std::string& user, const std::string& name,
                                               const std::string& proof) const {
    return get<wire::KeyEnrollment>("EnrollKey", {&user, &name, &proof}, password_patience);
}

Result<> Client::enroll_key_finish(const std::string& factor, const std::string& key,
                                   const std::string& signature) const {
    return tell("EnrollKeyFinish", {&factor, &key, &signature}, patience_);
}

Result<wire::KeyChallenge> Client::key_challenge(const std::string& user) const {
    return get<wire::KeyChallenge>("KeyChallenge", {&user});
}

Result<> Client::enroll_finish(const std::string& factor, const std::string& code) const {
    return tell("EnrollFinish", {&factor, &code}, patience_);
}

Result<std::vector<wire::Factor>> Client::factors(const std::string& user) const {
    return get<std::vector<wire::Factor>>("Factors", {&user});
}

Result<> Client::forget(const std::string& factor, const std::string& proof) const {
    return tell("Forget", {&factor, &proof}, password_patience);
}

Result<std::string> Client::make_ticket(const std::string& user, Seconds lasts) const {
    const auto seconds = static_cast<std::uint64_t>(lasts.count());
    auto reply = call("MakeTicket", {&user}, password_patience, seconds);
    return reply ? wire::read<std::string>(reply->get()) : std::unexpected{reply.error()};
}

Result<std::string> Client::factors_key() const {
    return get<std::string>("FactorsKey", {});
}

Result<std::string> Client::rekey(int key, const std::string& name) const {
    const std::string path = socket_.empty() ? wire::socket_path : socket_;
    const auto failed = [&](const Error& error) -> std::unexpected<Error> {
        return std::unexpected{wire::is_away(error) ? away(error.code, path, cause_of(error))
                                                    : error};
    };
    auto direct = base::BusClient::connect(path.c_str(), base::read_boot_time() + rekey_patience);
    if (!direct)
        return failed(direct.error());
    auto request = direct->message(wire::manager_path, wire::manager_interface, "Rekey");
    if (!request)
        return failed(request.error());
    for (const auto& done :
         {wire::append_fd(request->get(), key), wire::append_text(request->get(), name)})
        if (!done)
            return failed(done.error());
    auto reply = direct->call(std::move(*request));
    if (!reply)
        return failed(reply.error());
    return wire::read<std::string>(reply->get());
}

int exit_status(const Error& error) noexcept {
    return wire::is_away(error) ? exit_away : exit_refused;
}

int complain(const Error& error) {
    std::fprintf(stderr, "vigilctl: %s\n", base::escape(error.what).c_str());
    return exit_status(error);
}

} // namespace vigil::cli
