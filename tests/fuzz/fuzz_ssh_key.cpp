// Keys, signatures and answers of ssh agents, as anybody may send them: refused, or what was read
// is within its bounds and is the same when it is written and read again.

#include "base/ssh_format.hpp"
#include "daemon/factors/ssh_key.hpp"
#include "wire/agent_messages.hpp"

#include <cstdlib>

using namespace vigil;

namespace {

void demand(bool true_of_it) {
    if (!true_of_it)
        std::abort();
}

std::string written(const wire::SecurityKey& key) {
    std::string blob;
    base::append_ssh_string(blob, wire::name_of(key.kind));
    if (key.kind == wire::SecurityKey::Kind::ecdsa_p256)
        base::append_ssh_string(blob, "nistp256");
    base::append_ssh_string(blob, key.point);
    base::append_ssh_string(blob, key.application);
    return blob;
}

void read_key(std::string_view blob) {
    const auto key = wire::parse_security_key(blob);
    if (!key)
        return;
    demand(blob.size() <= wire::max_key_bytes && written(*key) == blob);
    demand(wire::blob_of_line(wire::line_of_blob(blob)).value_or("") == blob);
    // Whatever point that is, nothing is signed by it that nobody signed.
    demand(!factors::verify_key(*key, "bytes", blob));
}

void read_line(std::string_view line) {
    const auto blob = wire::blob_of_line(line);
    if (!blob)
        return;
    demand(line.starts_with(wire::line_of_blob(*blob)));
    read_key(*blob);
}

std::string number(std::string_view digits) {
    std::string out;
    const bool is_high = (static_cast<unsigned char>(digits.front()) & 0x80) != 0;
    base::append_ssh_string(out,
                            (is_high ? std::string(1, '\0') : std::string{}) + std::string{digits});
    return out;
}

void read_signature(std::string_view bytes) {
    const auto signature = factors::parse_key_signature(bytes);
    if (!signature)
        return;
    const bool is_ecdsa = signature->kind == wire::SecurityKey::Kind::ecdsa_p256;
    std::string again;
    base::append_ssh_string(again, wire::name_of(signature->kind));
    base::append_ssh_string(again, is_ecdsa ? number(signature->first) + number(signature->second)
                                            : signature->first);
    again += static_cast<char>(signature->flags);
    base::append_ssh_number(again, signature->counter);
    demand(again == bytes);
}

void read_answer(std::string_view answer) {
    if (const auto keys = wire::read_keys(answer)) {
        demand(keys->keys.size() + keys->others <= wire::max_agent_keys);
        for (const auto& key : keys->keys) {
            demand(key.comment.size() <= wire::max_comment_bytes);
            read_key(key.blob);
        }
    }
    if (const auto signature = wire::read_signature(answer))
        read_signature(*signature);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    read_key(bytes);
    read_line(bytes);
    read_signature(bytes);
    read_answer(bytes);
    return 0;
}
