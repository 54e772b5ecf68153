#pragma once
// D-Bus messages as bytes (D-Bus Specification, Message Protocol): a call that is written, and what
// comes back. Pure; the connection is base/dbus_client.hpp's.

#include "base/dbus_values.hpp"
#include "base/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace vigil::base {

/// Far beyond what vigil's own bounds let into a message, either way.
inline constexpr std::size_t max_dbus_bytes = 1024 * 1024;
/// From these the length of the whole is known.
inline constexpr std::size_t dbus_prefix_bytes = 16;

struct DbusCall {
    const char* path;
    const char* interface;
    const char* member;
};

/// What stands in front of the arguments. EMSGSIZE; EINVAL: something is still open.
Result<std::string> dbus_header(const DbusCall& call, std::uint32_t serial,
                                const DbusWriter& arguments);

struct DbusMessage {
    enum class Kind : std::uint8_t { call = 1, reply = 2, error = 3, signal = 4 };

    Kind kind = Kind::error;
    std::uint32_t reply_to = 0; ///< the call's serial; 0: to none
    std::string error;          ///< its name
    std::string signature;
    std::string body;

    DbusReader reader() const { return DbusReader{body, signature}; }
};

/// Bytes of the message that begins so. EBADMSG: none begins so, EMSGSIZE.
Result<std::size_t> dbus_size(std::string_view prefix);

/// A whole message, and nothing behind it. EBADMSG; with a descriptor as well.
Result<DbusMessage> parse_dbus(std::string_view bytes);

} // namespace vigil::base
