#include "daemon/factors/source.hpp"

#include "base/hex.hpp"

#include <algorithm>
#include <span>

namespace vigil::factors {

namespace {

constexpr std::array<std::uint8_t, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
constexpr std::size_t network_bytes = 8; ///< /64

std::string text_of(const Address& address) {
    return base::hex_encode({reinterpret_cast<const char*>(address.data()), address.size()});
}

} // namespace

Source::Source(Kind kind, const Address& address) : kind_{kind} {
    switch (kind) {
    case Kind::local:
        place_ = "local";
        break;
    case Kind::apart:
        place_ = "apart";
        break;
    case Kind::address:
        place_ = "from " + text_of(address);
        break;
    case Kind::unknown:
        break;
    }
}

Source Source::from(const Address& address) {
    Address place = address;
    if (!std::ranges::equal(mapped, std::span{address}.first(mapped.size())))
        std::fill(place.begin() + network_bytes, place.end(), std::uint8_t{0});
    return Source{Kind::address, place};
}

} // namespace vigil::factors
