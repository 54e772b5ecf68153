#include "terminal/vigild.hpp"

#include "base/bus_client.hpp"
#include "base/clock.hpp"
#include "wire/bus_codec.hpp"
#include "wire/names.hpp"

#include <initializer_list>

namespace vigil::terminal {

namespace {

Result<base::BusMessage> ask(const std::string& socket, const char* method,
                             std::initializer_list<const std::string*> arguments) {
    auto client =
        base::BusClient::connect(socket.c_str(), base::read_boot_time() + wire::machine_timeout);
    if (!client)
        return std::unexpected{client.error()};
    auto request = client->message(wire::manager_path, wire::manager_interface, method);
    if (!request)
        return std::unexpected{request.error()};
    for (const auto* argument : arguments) {
        if (auto done = wire::append_text(request->get(), *argument); !done)
            return std::unexpected{done.error()};
    }
    return client->call(std::move(*request));
}

} // namespace

Result<wire::LockInfo> Vigild::lock_info() const {
    auto reply = ask(socket_, "LockInfo", {&session_, &terminal_});
    if (!reply)
        return std::unexpected{reply.error()};
    return wire::read<wire::LockInfo>(reply->get());
}

Result<> Vigild::unlocked(const std::string& factor) const {
    auto reply = ask(socket_, "Unlocked", {&session_, &terminal_, &factor});
    if (!reply)
        return std::unexpected{reply.error()};
    return {};
}

Result<> Vigild::screen_seen(wire::Screen screen, wire::Cursor cursor) const {
    const std::string name{wire::to_text(screen)};
    const std::string word{wire::to_text(cursor)};
    auto reply = ask(socket_, "ScreenSeen", {&session_, &terminal_, &name, &word});
    if (!reply)
        return std::unexpected{reply.error()};
    return {};
}

Result<std::uint64_t> Vigild::unlock_failed() const {
    auto reply = ask(socket_, "UnlockFailed", {&session_, &terminal_});
    if (!reply)
        return std::unexpected{reply.error()};
    return wire::read<std::uint64_t>(reply->get());
}

} // namespace vigil::terminal
