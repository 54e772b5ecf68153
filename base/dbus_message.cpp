#include "base/dbus_message.hpp"

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

namespace vigil::base {

namespace {

constexpr char own_order = std::endian::native == std::endian::little ? 'l' : 'B';
constexpr std::uint8_t protocol = 1;
constexpr std::uint8_t no_answer_expected = 1; ///< a flag

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

/// Of what is in the body, behind the others.
int add_contents(DbusWriter& fields, const DbusWriter& values) {
    int r = 0;
    if (!values.signature().empty())
        r = add_field(fields, field_signature, "g", values.signature().c_str());
    const auto descriptors = static_cast<std::uint32_t>(values.descriptors().size());
    if (r >= 0 && descriptors != 0)
        r = add_field(fields, field_descriptors, "u", &descriptors);
    return r;
}

int add_fields(DbusWriter& fields, const DbusCall& call) {
    int r = add_field(fields, field_path, "o", call.path);
    if (r >= 0)
        r = add_field(fields, field_interface, "s", call.interface);
    return r < 0 ? r : add_field(fields, field_member, "s", call.member);
}

int add_fields(DbusWriter& fields, const DbusAnswer& answer) {
    const int r = add_field(fields, field_reply_to, "u", &answer.reply_to);
    return r < 0 || !answer.error ? r : add_field(fields, field_error, "s", answer.error);
}

/// The first bytes and the fields, of a message of at most `bound` bytes.
Result<std::string> header_of(Prefix prefix, const DbusWriter& fields, std::size_t body,
                              std::size_t bound) {
    const std::size_t size = rounded_up(sizeof prefix + fields.bytes().size());
    if (size > bound || body > bound - size)
        return fail(EMSGSIZE, "writing a message");
    prefix.body_size = static_cast<std::uint32_t>(body);
    prefix.fields_size = static_cast<std::uint32_t>(fields.bytes().size());
    std::string header;
    header.reserve(size);
    header.append(reinterpret_cast<const char*>(&prefix), sizeof prefix);
    header += fields.bytes();
    header.resize(size, '\0');
    return header;
}

/// Where a field's text goes; null: it says nothing here.
std::string* text_of(DbusMessage& message, std::uint8_t field) {
    switch (field) {
    case field_path:
        return &message.path;
    case field_interface:
        return &message.interface;
    case field_member:
        return &message.member;
    case field_error:
        return &message.error;
    case field_signature:
        return &message.signature;
    default:
        return nullptr;
    }
}

const char* type_of(std::uint8_t field) {
    switch (field) {
    case field_path:
        return "o";
    case field_signature:
        return "g";
    case field_reply_to:
    case field_descriptors:
        return "u";
    default:
        return "s";
    }
}

/// One of them; those that say nothing here are passed over.
int read_field(DbusReader& reader, DbusMessage& message) {
    std::uint8_t field = 0;
    if (reader.basic('y', &field) <= 0)
        return -EBADMSG;
    std::string* const kept = text_of(message, field);
    std::uint32_t* const number = field == field_reply_to      ? &message.reply_to
                                  : field == field_descriptors ? &message.descriptors
                                                               : nullptr;
    if (!kept && !number)
        return reader.skip("v");
    const char* const type = type_of(field);
    if (reader.open('v', type) <= 0)
        return -EBADMSG;
    const char* text = nullptr;
    if (reader.basic(*type, number ? static_cast<void*>(number) : static_cast<void*>(&text)) <= 0)
        return -EBADMSG;
    if (kept)
        *kept = text;
    return reader.close();
}

/// What a message of its kind cannot do without.
bool is_complete(const DbusMessage& message, bool has_body) {
    if (message.signature.empty() && has_body)
        return false;
    switch (message.kind) {
    case DbusMessage::Kind::call:
        return !message.path.empty() && !message.member.empty();
    case DbusMessage::Kind::reply:
        return message.reply_to != 0;
    case DbusMessage::Kind::error:
        return message.reply_to != 0 && !message.error.empty();
    case DbusMessage::Kind::signal:
        break;
    }
    return true;
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
    DbusWriter fields;
    int r = arguments.is_whole() ? add_fields(fields, call) : -EINVAL;
    if (r >= 0)
        r = add_contents(fields, arguments);
    if (r < 0)
        return fail(r, std::string{"making a call of "} + call.member);
    const Prefix prefix{.kind = static_cast<std::uint8_t>(DbusMessage::Kind::call),
                        .serial = serial};
    return header_of(prefix, fields, arguments.bytes().size(), max_dbus_bytes);
}

Result<std::string> dbus_header(const DbusAnswer& answer, std::uint32_t serial,
                                const DbusWriter& values) {
    DbusWriter fields;
    int r =
        values.is_whole() && values.descriptors().empty() ? add_fields(fields, answer) : -EINVAL;
    if (r >= 0)
        r = add_contents(fields, values);
    if (r < 0)
        return fail(r, "making an answer");
    const auto kind = answer.error ? DbusMessage::Kind::error : DbusMessage::Kind::reply;
    const Prefix prefix{
        .kind = static_cast<std::uint8_t>(kind), .flags = no_answer_expected, .serial = serial};
    return header_of(prefix, fields, values.bytes().size(), max_dbus_answer_bytes);
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
    message.serial = prefix->serial;
    message.wants_answer =
        message.kind == DbusMessage::Kind::call && (prefix->flags & no_answer_expected) == 0;
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
    if (!is_complete(message, prefix->body_size != 0))
        return bad;
    message.body = bytes.substr(body_at);
    return message;
}

} // namespace vigil::base
