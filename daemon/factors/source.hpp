#pragma once
// Where a code comes from, as far as it matters to who has to wait for whom. Pure.

#include <array>
#include <cstdint>
#include <string>

namespace vigil::factors {

/// IPv4 as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2), in network order.
using Address = std::array<std::uint8_t, 16>;

class Source {
public:
    /// At the machine itself: a console, a desktop.
    static Source local() { return Source{Kind::local, {}}; }
    /// A process of the person's that belongs to no login, as of a user unit.
    static Source apart() { return Source{Kind::apart, {}}; }
    /// An IPv4 address alone; of an IPv6 address the /64, which is one subscriber's.
    static Source from(const Address& address);
    /// Remote, and its address is not known: it is the same place as nothing.
    static Source unknown() { return Source{Kind::unknown, {}}; }

    /// A person's own, with nothing to prove first: who is there has logged in as him.
    bool is_own() const noexcept { return kind_ == Kind::local || kind_ == Kind::apart; }
    bool has_address() const noexcept { return kind_ == Kind::address; }
    /// Its name in the store: "local", "apart", "from " and 32 hex digits; "" of an unknown one.
    const std::string& place() const noexcept { return place_; }

private:
    enum class Kind : std::uint8_t { local, apart, address, unknown };
    Source(Kind kind, const Address& address);

    Kind kind_;
    std::string place_;
};

} // namespace vigil::factors
