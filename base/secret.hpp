#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace vigil::base {

/// Overwrites memory in a way the compiler keeps (explicit_bzero(3)).
void wipe(void* memory, std::size_t size) noexcept;

/// Bytes that are wiped when they go. Move-only; never printed.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string bytes) noexcept : bytes_{std::move(bytes)} {
        wipe(bytes.data(), bytes.capacity()); // a short string is copied by a move
    }
    explicit Secret(std::string_view bytes) : bytes_{bytes} {}
    Secret(Secret&& other) noexcept : bytes_{std::move(other.bytes_)} { other.clear(); }
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            clear();
            bytes_ = std::move(other.bytes_);
            other.clear();
        }
        return *this;
    }
    ~Secret() { clear(); }

    std::string_view view() const noexcept { return bytes_; }
    bool empty() const noexcept { return bytes_.empty(); }
    void clear() noexcept {
        wipe(bytes_.data(), bytes_.capacity());
        bytes_.clear();
    }

private:
    std::string bytes_;
};

} // namespace vigil::base
