#include "base/dbus_values.hpp"

#include "base/secret.hpp"
#include "base/utf8.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace vigil::base {

namespace {

constexpr std::string_view basic_types = "yutbsogh";

bool is_basic(char type) noexcept {
    return basic_types.find(type) != basic_types.npos;
}

std::size_t alignment_of(char type) noexcept {
    switch (type) {
    case 't':
    case '(':
    case '{':
    case 'r':
    case 'e':
        return 8;
    case 'y':
    case 'g':
    case 'v':
        return 1;
    default:
        return 4;
    }
}

std::size_t padding(std::size_t at, std::size_t alignment) noexcept {
    return (alignment - at % alignment) % alignment;
}

/// Bytes of the whole type that a signature begins with; 0: none.
std::size_t first_type(std::string_view signature, int depth = 0) noexcept {
    if (signature.empty() || depth > max_value_depth)
        return 0;
    const char type = signature.front();
    if (is_basic(type) || type == 'v')
        return 1;
    if (type == 'a' && signature.substr(1).starts_with('{')) {
        if (signature.size() < 5 || !is_basic(signature[2]))
            return 0;
        const std::size_t value = first_type(signature.substr(3), depth + 2);
        return value != 0 && signature.substr(3 + value).starts_with('}') ? 4 + value : 0;
    }
    if (type == 'a') {
        const std::size_t item = first_type(signature.substr(1), depth + 1);
        return item == 0 ? 0 : 1 + item;
    }
    if (type != '(')
        return 0;
    std::size_t at = 1;
    while (at < signature.size() && signature[at] != ')') {
        const std::size_t field = first_type(signature.substr(at), depth + 1);
        if (field == 0)
            return 0;
        at += field;
    }
    return at < signature.size() && at > 1 ? at + 1 : 0;
}

/// How a container with these contents stands in a signature.
std::string type_of(char container, std::string_view contents) {
    const std::string inside{contents};
    switch (container) {
    case 'a':
        return "a" + inside;
    case 'r':
        return "(" + inside + ")";
    case 'e':
        return "{" + inside + "}";
    case 'v':
        return "v";
    default:
        return {};
    }
}

} // namespace

bool is_signature(std::string_view signature) noexcept {
    if (signature.size() > max_signature_bytes)
        return false;
    while (!signature.empty()) {
        const std::size_t size = first_type(signature);
        if (size == 0)
            return false;
        signature.remove_prefix(size);
    }
    return true;
}

DbusWriter::~DbusWriter() {
    wipe(bytes_.data(), bytes_.capacity());
}

int DbusWriter::belongs(std::string_view type) {
    if (open_.empty()) {
        if (signature_.size() + type.size() > max_signature_bytes)
            return -EMSGSIZE;
        signature_ += type;
        return 0;
    }
    Container& around = open_.back();
    if (around.type == 'a')
        return around.contents == type ? 0 : -ENXIO;
    if (!std::string_view{around.contents}.substr(around.next).starts_with(type))
        return -ENXIO;
    around.next += type.size();
    return 0;
}

/// Where there is no room any more, what was there is wiped, and not left to the allocator.
void DbusWriter::put(const void* data, std::size_t size) {
    if (bytes_.size() + size > bytes_.capacity()) {
        std::string larger;
        larger.reserve(std::max<std::size_t>(512, 2 * (bytes_.size() + size)));
        larger.append(bytes_);
        wipe(bytes_.data(), bytes_.capacity());
        bytes_.swap(larger);
    }
    bytes_.append(static_cast<const char*>(data), size);
}

void DbusWriter::align(std::size_t size) {
    constexpr char zeros[8] = {};
    put(zeros, padding(bytes_.size(), size));
}

void DbusWriter::put_number(std::uint32_t number) {
    align(sizeof number);
    put(&number, sizeof number);
}

int DbusWriter::put_text(const char* text) {
    const std::size_t size = std::strlen(text);
    if (size > UINT32_MAX - 1)
        return -EMSGSIZE;
    if (!is_dbus_text({text, size}))
        return -EINVAL;
    put_number(static_cast<std::uint32_t>(size));
    put(text, size + 1);
    return 0;
}

int DbusWriter::put_signature(std::string_view text) {
    if (!is_signature(text))
        return -EINVAL;
    const auto size = static_cast<std::uint8_t>(text.size());
    put(&size, 1);
    put(text.data(), text.size());
    put("", 1);
    return 0;
}

int DbusWriter::basic(char type, const void* value) {
    if (!is_basic(type))
        return -EOPNOTSUPP;
    if (const int r = belongs({&type, 1}); r < 0)
        return r;
    switch (type) {
    case 's':
    case 'o':
        return put_text(static_cast<const char*>(value));
    case 'g':
        return put_signature(static_cast<const char*>(value));
    case 'b':
        put_number(*static_cast<const int*>(value) != 0 ? 1 : 0);
        return 0;
    case 'h':
        put_number(static_cast<std::uint32_t>(descriptors_.size()));
        descriptors_.push_back(*static_cast<const int*>(value));
        return 0;
    default:
        // y, u and t, whose size is their alignment.
        align(alignment_of(type));
        put(value, alignment_of(type));
        return 0;
    }
}

int DbusWriter::array(char type, const void* data, std::size_t size) {
    if (type != 'y')
        return -EOPNOTSUPP;
    if (const int r = belongs("ay"); r < 0)
        return r;
    if (size > UINT32_MAX)
        return -EMSGSIZE;
    put_number(static_cast<std::uint32_t>(size));
    put(data, size);
    return 0;
}

int DbusWriter::open(char type, const char* contents) {
    const std::string whole = type_of(type, contents);
    if (whole.empty() || open_.size() >= static_cast<std::size_t>(max_value_depth))
        return -EOPNOTSUPP;
    if (const int r = belongs(whole); r < 0)
        return r;
    Container inside{.type = type, .contents = contents};
    if (type == 'v') {
        if (const int r = put_signature(contents); r < 0)
            return r;
    } else if (type == 'a') {
        put_number(0);
        inside.length = bytes_.size() - sizeof(std::uint32_t);
        align(alignment_of(*contents));
        inside.begin = bytes_.size();
    } else {
        align(alignment_of(type));
    }
    open_.push_back(std::move(inside));
    return 0;
}

int DbusWriter::close() {
    if (open_.empty())
        return -ENXIO;
    const Container& inside = open_.back();
    if (inside.type == 'a') {
        const auto size = static_cast<std::uint32_t>(bytes_.size() - inside.begin);
        std::memcpy(bytes_.data() + inside.length, &size, sizeof size);
    } else if (inside.next != inside.contents.size()) {
        return -EBUSY;
    }
    open_.pop_back();
    return 0;
}

DbusReader::DbusReader(std::string_view bytes, std::string_view signature,
                       std::span<const UniqueFd> descriptors)
    : bytes_{bytes}, descriptors_{descriptors},
      open_{{.type = 0, .contents = signature, .next = 0, .end = bytes.size()}} {}

/// 1: such a value comes next, and is taken out of the signature.
int DbusReader::belongs(std::string_view type) {
    Container& around = open_.back();
    if (around.type == 'a') {
        if (at_ == around.end)
            return 0;
        return around.contents == type ? 1 : -ENXIO;
    }
    if (type.empty() || !around.contents.substr(around.next).starts_with(type))
        return -ENXIO;
    around.next += type.size();
    return 1;
}

bool DbusReader::align(std::size_t size) {
    for (std::size_t left = padding(at_, size); left > 0; --left)
        if (at_ == end() || bytes_[at_++] != 0)
            return false;
    return true;
}

bool DbusReader::get(void* data, std::size_t size) {
    if (!align(size) || size > end() - at_)
        return false;
    std::memcpy(data, bytes_.data() + at_, size);
    at_ += size;
    return true;
}

/// With the NUL behind it, and none within.
bool DbusReader::get_text(std::size_t length, const char*& text) {
    if (length >= end() - at_ || bytes_[at_ + length] != 0)
        return false;
    const auto whole = bytes_.substr(at_, length);
    if (whole.find('\0') != whole.npos || !is_dbus_text(whole))
        return false;
    text = whole.data();
    at_ += length + 1;
    return true;
}

bool DbusReader::get_signature(std::string_view& signature) {
    std::uint8_t length = 0;
    const char* text = nullptr;
    if (!get(&length, 1) || !get_text(length, text))
        return false;
    signature = {text, length};
    return is_signature(signature);
}

int DbusReader::basic(char type, void* value) {
    if (const int r = belongs({&type, 1}); r <= 0)
        return r;
    std::uint32_t number = 0;
    switch (type) {
    case 's':
    case 'o':
        if (!get(&number, sizeof number) || !get_text(number, *static_cast<const char**>(value)))
            return -EBADMSG;
        return 1;
    case 'g': {
        std::string_view signature;
        if (!get_signature(signature))
            return -EBADMSG;
        *static_cast<const char**>(value) = signature.data();
        return 1;
    }
    case 'b':
        if (!get(&number, sizeof number) || number > 1)
            return -EBADMSG;
        *static_cast<int*>(value) = static_cast<int>(number);
        return 1;
    case 'y':
    case 'u':
    case 't':
        return get(value, alignment_of(type)) ? 1 : -EBADMSG;
    case 'h':
        if (!get(&number, sizeof number) || number >= descriptors_.size())
            return -EBADMSG;
        *static_cast<int*>(value) = descriptors_[number].get();
        return 1;
    default:
        return -EOPNOTSUPP;
    }
}

int DbusReader::array(char type, const void** data, std::size_t* size) {
    if (type != 'y')
        return -EOPNOTSUPP;
    if (const int r = belongs("ay"); r <= 0)
        return r;
    std::uint32_t length = 0;
    if (!get(&length, sizeof length) || length > end() - at_)
        return -EBADMSG;
    *data = bytes_.data() + at_;
    *size = length;
    at_ += length;
    return 1;
}

int DbusReader::open_array(std::string_view type, std::string_view contents) {
    if (const int r = belongs(type); r <= 0)
        return r;
    std::uint32_t length = 0;
    if (!get(&length, sizeof length) || !align(alignment_of(contents.front())) ||
        length > end() - at_)
        return -EBADMSG;
    open_.push_back({.type = 'a', .contents = contents, .next = 0, .end = at_ + length});
    return 1;
}

int DbusReader::open(char type, const char* contents) {
    const std::string whole = type_of(type, contents);
    if (whole.empty() || *contents == 0 || open_.size() > static_cast<std::size_t>(max_value_depth))
        return -EOPNOTSUPP;
    if (type == 'a')
        return open_array(whole, contents);
    if (const int r = belongs(whole); r <= 0)
        return r;
    if (type == 'v') {
        std::string_view held;
        if (!get_signature(held))
            return -EBADMSG;
        if (held != contents || first_type(held) != held.size())
            return -ENXIO;
    } else if (!align(alignment_of(type))) {
        return -EBADMSG;
    }
    open_.push_back({.type = type, .contents = contents, .next = 0, .end = end()});
    return 1;
}

int DbusReader::close() {
    if (open_.size() == 1)
        return -ENXIO;
    if (at_end() == 0)
        return -EBUSY;
    open_.pop_back();
    return 1;
}

int DbusReader::at_end() {
    const Container& around = open_.back();
    return around.type == 'a' ? at_ == around.end : around.next == around.contents.size();
}

std::string_view DbusReader::variant_type() const noexcept {
    if (at_ == end())
        return {};
    const std::size_t length = static_cast<unsigned char>(bytes_[at_]);
    return length < end() - at_ ? bytes_.substr(at_ + 1, length) : std::string_view{};
}

int DbusReader::skip(const char* signature) {
    if (const int r = belongs(signature); r <= 0)
        return r;
    const std::string_view type = signature;
    return first_type(type) == type.size() ? skip_value(type, 0) : -EOPNOTSUPP;
}

/// `type` is a whole one. What is passed over is not acted on: an array's values are not looked at.
int DbusReader::skip_value(std::string_view type, int depth) {
    if (depth > max_value_depth)
        return -EBADMSG;
    std::uint64_t large = 0;
    std::uint32_t number = 0;
    const char* text = nullptr;
    std::string_view held;
    switch (type.front()) {
    case 'y':
        return get(&large, 1) ? 1 : -EBADMSG;
    case 't':
        return get(&large, sizeof large) ? 1 : -EBADMSG;
    case 's':
    case 'o':
        return get(&number, sizeof number) && get_text(number, text) ? 1 : -EBADMSG;
    case 'g':
        return get_signature(held) ? 1 : -EBADMSG;
    case 'v':
        if (!get_signature(held) || held.empty() || first_type(held) != held.size())
            return -EBADMSG;
        return skip_value(held, depth + 1);
    case 'a':
        if (!get(&number, sizeof number) || !align(alignment_of(type[1])) || number > end() - at_)
            return -EBADMSG;
        at_ += number;
        return 1;
    case '(':
        if (!align(8))
            return -EBADMSG;
        for (type = type.substr(1, type.size() - 2); !type.empty();) {
            const std::size_t size = first_type(type);
            if (const int r = skip_value(type.substr(0, size), depth + 1); r < 0)
                return r;
            type.remove_prefix(size);
        }
        return 1;
    default:
        return get(&number, sizeof number) ? 1 : -EBADMSG;
    }
}

} // namespace vigil::base
