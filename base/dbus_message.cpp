#include "base/dbus_message.hpp"

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

namespace vigil::base {

namespace {

constexpr char own_order = std::endian::native == std::endian::little ? 'l' : 'B';
constexpr std::uint8_t protocol = 1;

/// Fields of the header, by their codes.
enum Field : std::uint8_t {
    field_path = 1,
    field_interface = 2,
    field_member = 3,
    field_error = 4,
    field_reply_to = 5,
    field_signature = 8,
    field_descriptors = 9,
};

/// The first bytes of every message.
struct Prefix {
    char order = own_order;
    std::uint8_t kind = 0;
    std::uint8_t flags = 0;
    std::uint8_t version = protocol;
    std::uint32_t body_size = 0;
    std::uint32_t serial = 0;
    std::uint32_t fields_size = 0;
};
static_assert(sizeof(Prefix) == dbus_prefix_bytes);

std::size_t rounded_up(std::size_t size) noexcept {
    return (size + 7) / 8 * 8;
}

int add_field(DbusWriter& fields, Field field, const char* type, const void* value) {
    int r = fields.open('r', "yv");
    if (r >= 0)
        r = fields.basic('y', &field);
    if (r >= 0)
        r = fields.open('v', type);
    if (r >= 0)
        r = fields.basic(*type, value);
    if (r >= 0)
        r = fields.close();
    return r < 0 ? r : fields.close();
}

int add_fields(DbusWriter& fields, const DbusCall& call, const DbusWriter& arguments) {
    int r = add_field(fields, field_path, "o", call.path);
    if (r >= 0)
        r = add_field(fields, field_interface, "s", call.interface);
    if (r >= 0)
        r = add_field(fields, field_member, "s", call.member);
    if (r >= 0 && !arguments.signature().empty())
        r = add_field(fields, field_signature, "g", arguments.signature().c_str());
    const auto descriptors = static_cast<std::uint32_t>(arguments.descriptors().size());
    if (r >= 0 && descriptors != 0)
        r = add_field(fields, field_descriptors, "u", &descriptors);
    return r;
}

/// One of them; those that say nothing here are passed over.
int read_field(DbusReader& reader, DbusMessage& message) {
    std::uint8_t field = 0;
    const char* text = nullptr;
    std::uint32_t number = 0;
    if (const int r = reader.basic('y', &field); r <= 0)
        return -EBADMSG;
    const bool is_text = field == field_error || field == field_signature;
    const bool is_number = field == field_reply_to || field == field_descriptors;
    if (!is_text && !is_number)
        return reader.skip("v");
    const char* const type = is_number ? "u" : field == field_error ? "s" : "g";
    if (reader.open('v', type) <= 0 ||
        reader.basic(*type, is_number ? static_cast<void*>(&number) : static_cast<void*>(&text)) <=
            0)
        return -EBADMSG;
    if (field == field_error)
        message.error = text;
    else if (field == field_signature)
        message.signature = text;
    else if (field == field_reply_to)
        message.reply_to = number;
    else if (number != 0)
        return -EBADMSG;
    return reader.close();
}

Result<Prefix> read_prefix(std::string_view bytes) {
    Prefix prefix;
    if (bytes.size() < sizeof prefix)
        return fail(EBADMSG, "too few bytes for a message");
    std::memcpy(&prefix, bytes.data(), sizeof prefix);
    const bool has_kind = prefix.kind >= static_cast<std::uint8_t>(DbusMessage::Kind::call) &&
                          prefix.kind <= static_cast<std::uint8_t>(DbusMessage::Kind::signal);
    if (prefix.order != own_order || prefix.version != protocol || !has_kind || prefix.serial == 0)
        return fail(EBADMSG, "no message of D-Bus");
    return prefix;
}

} // namespace

Result<std::string> dbus_header(const DbusCall& call, std::uint32_t serial,
                                const DbusWriter& arguments) {
    if (!arguments.is_whole())
        return fail(EINVAL, "writing a message");
    DbusWriter fields;
    if (const int r = add_fields(fields, call, arguments); r < 0)
        return fail(r, std::string{"making a call of "} + call.member);
    const std::size_t size = arguments.bytes().size();
    if (size > max_dbus_bytes - rounded_up(sizeof(Prefix) + fields.bytes().size()))
        return fail(EMSGSIZE, std::string{"making a call of "} + call.member);
    const Prefix prefix{.kind = static_cast<std::uint8_t>(DbusMessage::Kind::call),
                        .body_size = static_cast<std::uint32_t>(size),
                        .serial = serial,
                        .fields_size = static_cast<std::uint32_t>(fields.bytes().size())};
    std::string header(sizeof prefix, '\0');
    std::memcpy(header.data(), &prefix, sizeof prefix);
    header += fields.bytes();
    header.resize(rounded_up(header.size()), '\0');
    return header;
}

Result<std::size_t> dbus_size(std::string_view bytes) {
    const auto prefix = read_prefix(bytes);
    if (!prefix)
        return std::unexpected{prefix.error()};
    if (prefix->fields_size > max_dbus_bytes || prefix->body_size > max_dbus_bytes)
        return fail(EMSGSIZE, "reading a message");
    const std::size_t size = rounded_up(sizeof *prefix + prefix->fields_size) + prefix->body_size;
    if (size > max_dbus_bytes)
        return fail(EMSGSIZE, "reading a message");
    return size;
}

Result<DbusMessage> parse_dbus(std::string_view bytes) {
    const auto prefix = read_prefix(bytes);
    const auto size = dbus_size(bytes);
    if (!prefix || !size)
        return std::unexpected{prefix ? size.error() : prefix.error()};
    const auto bad = fail(EBADMSG, "reading a message");
    if (*size != bytes.size())
        return bad;
    const std::size_t body_at = *size - prefix->body_size;
    DbusMessage message;
    message.kind = static_cast<DbusMessage::Kind>(prefix->kind);
    // Behind the serial and the length, which stand in the prefix: from there all is aligned to 8.
    DbusReader fields{bytes.substr(8, body_at - 8), "ua(yv)"};
    std::uint32_t serial = 0;
    if (fields.basic('u', &serial) <= 0 || fields.open('a', "(yv)") <= 0)
        return bad;
    while (fields.at_end() == 0)
        if (fields.open('r', "yv") <= 0 || read_field(fields, message) < 0 || fields.close() < 0)
            return bad;
    fields.close();
    const auto rest = bytes.substr(8 + fields.position(), body_at - 8 - fields.position());
    if (rest.find_first_not_of('\0') != rest.npos)
        return bad;
    const bool is_answer =
        message.kind == DbusMessage::Kind::reply || message.kind == DbusMessage::Kind::error;
    if (is_answer && message.reply_to == 0)
        return bad;
    if (message.kind == DbusMessage::Kind::error && message.error.empty())
        return bad;
    if (message.signature.empty() && prefix->body_size != 0)
        return bad;
    message.body = bytes.substr(body_at);
    return message;
}

} // namespace vigil::base
