// A new key for what is sealed. The key itself comes in a file without a name, which only root
// sends, by the direct socket.

#include "base/unique_fd.hpp"
#include "daemon/bus/parse.hpp"

#include <algorithm>

#include <fcntl.h>

namespace vigil::bus {

Result<> Api::factors_key(const Call& call) {
    if (!factors_)
        return std::unexpected{no_factors(call)};
    reply(call, [&](auto& sink) { return wire::append_text(sink, factors_->key_name()); });
    return {};
}

Result<> Api::rekey(const Call& call) {
    const auto fd = wire::read_fd(call.arguments());
    const auto name = read<std::string>(call);
    if (!fd || !name || !std::ranges::count(factors::key_names, *name))
        return fail(wire::code_invalid, "Rekey takes a key and the name of its credential.");
    if (!factors_)
        return std::unexpected{no_factors(call)};
    // Memory, by memfd_create(2): to read a file of somebody's file system may be to wait for him.
    if (::fcntl(fd->get(), F_GET_SEALS) < 0)
        return fail(wire::code_invalid, "A key comes in memory (memfd_create(2)).");
    auto key = factors::read_key(fd->get());
    if (!key)
        return fail(wire::code_invalid, key.error().what);
    const auto done = factors_->rekey(std::move(*key), *name);
    if (!done)
        return fail(done.error().code == EINVAL ? wire::code_invalid : wire::code_broken,
                    done.error().text());
    std::string text = std::to_string(done->sealed) +
                       (done->sealed == 1 ? " secret is" : " secrets are") +
                       " sealed under the new key " + *name;
    if (done->broken > 0)
        text += "; " + std::to_string(done->broken) + " did not open before and stay as they are";
    shell_.dispatch(core::KeyChanged{caller_name(call), text});
    reply(call, [&](auto& sink) { return wire::append_text(sink, text); });
    return {};
}

} // namespace vigil::bus
