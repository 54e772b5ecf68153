#pragma once
// D-Bus messages as bytes (D-Bus Specification, Message Protocol): calls and their answers. Pure;
// the connections are base/dbus_client.hpp's and base/dbus_peer.hpp's.

#include "base/dbus_values.hpp"
#include "base/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace vigil::base {

/// Of what is read and of a call: far beyond what vigil's own bounds let into either.
inline constexpr std::size_t max_dbus_bytes = 1024 * 1024;
/// Of an answer that is written: a list of all that there may be.
inline constexpr std::size_t max_dbus_answer_bytes = 64 * 1024 * 1024;
/// Descriptors that a message may carry.
inline constexpr std::size_t max_dbus_descriptors = 4;
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

struct DbusAnswer {
    std::uint32_t reply_to;      ///< the call's serial
    const char* error = nullptr; ///< its name, where it is one
};

/// The same of an answer, which brings no descriptor: EINVAL.
Result<std::string> dbus_header(const DbusAnswer& answer, std::uint32_t serial,
                                const DbusWriter& values);

struct DbusMessage {
    enum class Kind : std::uint8_t { call = 1, reply = 2, error = 3, signal = 4 };

    Kind kind = Kind::error;
    std::uint32_t serial = 0;
    bool wants_answer = false;
    std::string path; ///< of a call, as the next two
    std::string interface;
    std::string member;
    std::uint32_t reply_to = 0;    ///< the call's serial; 0: to none
    std::string error;             ///< its name
    std::uint32_t descriptors = 0; ///< that came with it
    std::string signature;
    std::string body;

    DbusReader reader() const { return DbusReader{body, signature}; }
};

/// Bytes of the message that begins so. EBADMSG: none begins so, EMSGSIZE.
Result<std::size_t> dbus_size(std::string_view prefix);

/// A whole message, and nothing behind it. EBADMSG.
Result<DbusMessage> parse_dbus(std::string_view bytes);

} // namespace vigil::base
