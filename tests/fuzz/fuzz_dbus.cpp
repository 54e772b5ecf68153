// Bytes as a message and as the values of one, of a peer that may send anything: they are refused,
// or what was read is written again and comes back the same.

#include "base/dbus_message.hpp"
#include "wire/codec.hpp"

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

using namespace vigil;
using namespace vigil::wire;

namespace {

/// The replies of vigild's to those who read so, and what could be taken for one.
constexpr std::array signatures{"ust", "usasst", "usast",  "sas",          "sst",  "s",
                                "t",   "a{sv}",  "aa{sv}", "ayayaaybbbay", "sssay"};

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

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    if (const auto whole = base::dbus_size(bytes); whole && *whole > base::max_dbus_bytes)
        std::abort();
    if (const auto message = base::parse_dbus(bytes))
        read_all(message->body, message->signature);
    if (size > 0)
        read_all(bytes.substr(1), signatures[data[0] % signatures.size()]);
    return 0;
}
