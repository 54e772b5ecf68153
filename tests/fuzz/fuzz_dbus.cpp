// Bytes as a message, as the values of one and as all that a connection brings, of a peer that may
// send anything: they are refused, or what was read is written again and comes back the same.

#include "base/dbus_peer.hpp"
#include "wire/codec.hpp"

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include <sys/socket.h>

using namespace vigil;
using namespace vigil::wire;

namespace {

/// The replies of vigild's to those who read so, and what could be taken for one.
constexpr std::array signatures{"ust",   "usasst", "usast",          "sas",  "sst", "s", "t",
                                "a{sv}", "aa{sv}", "ayayayaaybbbay", "sssay"};

template <typename T>
void read_as(std::string_view bytes, std::string_view signature) {
    base::DbusReader reader{bytes, signature};
    const auto value = read<T>(reader);
    if (!value)
        return;
    if constexpr (!std::is_same_v<T, std::string> && !std::is_same_v<T, std::uint64_t>) {
        base::DbusWriter writer;
        if (!append(writer, *value) || !writer.is_whole())
            std::abort();
        base::DbusReader again{writer.bytes(), writer.signature()};
        const auto same = read<T>(again);
        if (!same || !(*same == *value) || again.at_end() == 0)
            std::abort();
    }
}

template <typename... Types>
void read_as_each(std::string_view bytes, std::string_view signature) {
    (read_as<Types>(bytes, signature), ...);
}

void read_all(std::string_view bytes, std::string_view signature) {
    read_as_each<ReserveReply, AskReply, ProveReply, KeyQuestion, Requested, std::string,
                 std::uint64_t, Session, std::vector<Session>, Command, KeyEnrollment>(bytes,
                                                                                       signature);
    // All of it passed over.
    base::DbusReader reader{bytes, signature};
    while (reader.at_end() == 0 && reader.skip(std::string{signature}.c_str()) > 0) {
    }
    if (reader.position() > bytes.size())
        std::abort();
}

/// As what comes over the direct socket, with and without a handshake in front.
void serve(std::string_view said) {
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
        std::abort();
    const base::UniqueFd own{ends[0]};
    const auto peer = std::make_shared<base::DbusPeer>(base::UniqueFd{ends[1]}, "0");
    (void)::send(own.get(), said.data(), said.size(), MSG_NOSIGNAL);
    const auto done = peer->receive([](const std::shared_ptr<base::DbusRequest>& request) {
        const auto& message = request->message();
        if (message.path.empty() || message.member.empty() ||
            message.kind != base::DbusMessage::Kind::call)
            std::abort();
        read_all(message.body, message.signature);
        (void)request->refuse("org.vigil1.Error.Invalid", "no");
    });
    if (done && peer->waiting() != 0)
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    if (const auto whole = base::dbus_size(bytes); whole && *whole > base::max_dbus_bytes)
        std::abort();
    if (const auto message = base::parse_dbus(bytes))
        read_all(message->body, message->signature);
    static const std::string greeting{"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n",
                                      48};
    serve(bytes);
    serve(greeting + std::string{bytes});
    if (size > 0)
        read_all(bytes.substr(1), signatures[data[0] % signatures.size()]);
    return 0;
}
