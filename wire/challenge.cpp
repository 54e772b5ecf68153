#include "wire/challenge.hpp"

#include "base/ssh_format.hpp"

namespace vigil::wire {

namespace {

/// As the length of a session id, as which ssh would read its beginning, 2 GB.
constexpr std::string_view magic = "vigil-challenge-1\n";

} // namespace

std::string bytes_of(const Challenge& challenge) {
    std::string bytes{magic};
    bytes += static_cast<char>(challenge.purpose);
    for (const auto* field : {&challenge.host, &challenge.user, &challenge.session,
                              &challenge.terminal, &challenge.run_as, &challenge.command_digest})
        base::append_ssh_string(bytes, *field);
    base::append_ssh_string(
        bytes, {reinterpret_cast<const char*>(challenge.nonce.data()), challenge.nonce.size()});
    return bytes;
}

} // namespace vigil::wire
