#pragma once
// How ssh writes values down (RFC 4251, section 5). Header only.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vigil::base {

inline void append_ssh_number(std::string& out, std::uint32_t number) {
    for (const unsigned shift : {24U, 16U, 8U, 0U})
        out += static_cast<char>(number >> shift & 0xFF);
}

/// Its length in front. What has more than 2^32 bytes nobody has.
inline void append_ssh_string(std::string& out, std::string_view bytes) {
    append_ssh_number(out, static_cast<std::uint32_t>(bytes.size()));
    out += bytes;
}

/// Takes bytes from outside apart, from the front. Nothing is copied; after a nullopt nothing more
/// is to be read.
class SshReader {
public:
    explicit SshReader(std::string_view bytes) noexcept : left_{bytes} {}

    std::optional<std::uint8_t> byte() noexcept {
        const auto taken = take(1);
        if (!taken)
            return std::nullopt;
        return static_cast<std::uint8_t>(taken->front());
    }
    std::optional<std::uint32_t> number() noexcept {
        const auto taken = take(4);
        if (!taken)
            return std::nullopt;
        std::uint32_t value = 0;
        for (const char c : *taken)
            value = value << 8 | static_cast<unsigned char>(c);
        return value;
    }
    std::optional<std::string_view> string() noexcept {
        const auto size = number();
        return size ? take(*size) : std::nullopt;
    }
    bool is_at_end() const noexcept { return left_.empty(); }

private:
    std::optional<std::string_view> take(std::size_t count) noexcept {
        if (count > left_.size())
            return std::nullopt;
        const auto taken = left_.substr(0, count);
        left_.remove_prefix(count);
        return taken;
    }

    std::string_view left_;
};

} // namespace vigil::base
