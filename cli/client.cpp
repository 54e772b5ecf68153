#include "cli/client.hpp"

#include "base/bus_client.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "wire/codec.hpp"
#include "wire/errors.hpp"

#include <cstdio>

#include <unistd.h>

namespace vigil::cli {

namespace {

/// A desktop has 10 s to say that it has locked itself.
constexpr Seconds act_patience{15};

Error away(int code, const std::string& where, const std::string& cause) {
    return {code,
            "vigild does not answer on " + where + " (" + cause + "): systemctl status vigild"};
}

Result<base::BusMessage> call_on(base::BusClient& client, const char* method,
                                 std::initializer_list<const std::string*> arguments) {
    auto request = client.message(wire::manager_path, wire::manager_interface, method);
    if (!request)
        return std::unexpected{request.error()};
    for (const auto* argument : arguments) {
        if (auto done = wire::append_text(request->get(), *argument); !done)
            return std::unexpected{done.error()};
    }
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

Result<base::BusMessage> Client::call(const char* method, Arguments arguments,
                                      Microseconds wait) const {
    const BootTime deadline = base::read_boot_time() + wait;
    const bool usual = socket_.empty();
    if (usual) {
        auto bus = base::BusClient::connect_system(wire::bus_name, deadline);
        auto reply = bus ? call_on(*bus, method, arguments) : std::unexpected{bus.error()};
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
    auto reply = call_on(*direct, method, arguments);
    if (!reply && wire::is_away(reply.error()))
        return std::unexpected{away(reply.error().code, path, cause_of(reply.error()))};
    return reply;
}

template <typename T>
Result<T> Client::get(const char* method, Arguments arguments) const {
    auto reply = call(method, arguments, patience_);
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

Result<std::vector<wire::Grant>> Client::grants() const {
    return get<std::vector<wire::Grant>>("Grants", {});
}

Result<> Client::revoke(const std::string& grant) const {
    return tell("Revoke", {&grant}, patience_);
}

Result<std::string> Client::reload() const {
    return get<std::string>("Reload", {});
}

Result<wire::Enrollment> Client::enroll_totp(const std::string& user, const std::string& name,
                                             const std::string& code,
                                             const std::string& kind) const {
    return get<wire::Enrollment>("EnrollTotp", {&user, &name, &kind, &code});
}

Result<wire::RecoveryCodes> Client::renew_recovery(const std::string& user,
                                                   const std::string& code) const {
    return get<wire::RecoveryCodes>("RenewRecoveryCodes", {&user, &code});
}

Result<> Client::enroll_finish(const std::string& factor, const std::string& code) const {
    return tell("EnrollFinish", {&factor, &code}, patience_);
}

Result<std::vector<wire::Factor>> Client::factors(const std::string& user) const {
    return get<std::vector<wire::Factor>>("Factors", {&user});
}

Result<> Client::forget(const std::string& factor) const {
    return tell("Forget", {&factor}, patience_);
}

int exit_status(const Error& error) noexcept {
    return wire::is_away(error) ? exit_away : exit_refused;
}

int complain(const Error& error) {
    std::fprintf(stderr, "vigilctl: %s\n", base::escape(error.what).c_str());
    return exit_status(error);
}

} // namespace vigil::cli
