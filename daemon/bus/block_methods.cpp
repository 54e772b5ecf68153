// Who is kept out: block, unblock, and the list of them.

#include "base/clock.hpp"
#include "base/log.hpp"
#include "daemon/bus/parse.hpp"
#include "daemon/shell/facts.hpp"

namespace vigil::bus {

namespace {

/// Ten years: what is longer has no end that anybody waits for.
constexpr Seconds longest_block = std::chrono::days{3650};

constexpr const char* block_takes = "Block takes a user, a reason and seconds, 0 for no end.";

/// One line for a terminal, which the mark and the copy have as a line too.
Result<> check_reason(const std::string& reason) {
    if (reason.empty())
        return fail(wire::code_invalid, "A block needs a reason: whoever is refused is told it.");
    if (reason.size() > wire::max_block_reason_bytes)
        return fail(wire::code_invalid, "The reason is too long: at most " +
                                            std::to_string(wire::max_block_reason_bytes) +
                                            " bytes.");
    if (base::escape(reason) != reason)
        return fail(wire::code_invalid, "The reason is one line of text.");
    return {};
}

wire::Block shown(const core::BlockRecord& block, const Now& now) {
    return {.uid = block.uid,
            .user = block.user,
            .reason = block.reason,
            .by = block.by,
            .since = wire_time(block.since),
            .until = block.until == BootTime::max()
                         ? 0
                         : wire_time(shell::wall_time_of(block.until, now))};
}

} // namespace

Result<> Api::block(const Call& call) {
    const auto user = read<std::string>(call);
    auto reason = read<std::string>(call);
    const auto lasts = read<std::uint64_t>(call);
    if (!user || user->empty() || user->size() > wire::max_user_bytes || !reason || !lasts)
        return fail(wire::code_invalid, block_takes);
    if (*lasts > static_cast<std::uint64_t>(longest_block.count()))
        return fail(wire::code_invalid, "A block lasts at most " +
                                            base::duration_text(longest_block) +
                                            ", or until it is taken back.");
    if (const auto checked = check_reason(*reason); !checked)
        return checked;
    const auto uid = shell::uid_of(*user);
    if (!uid)
        return std::unexpected{uid.error()};
    return put(call, core::BlockAsked{.token = 0,
                                      .uid = *uid,
                                      .user = *user,
                                      .reason = std::move(*reason),
                                      .by = orderer(call),
                                      .lasts = *lasts == 0 ? std::nullopt
                                                           : std::optional{Seconds{*lasts}}});
}

Result<> Api::unblock(const Call& call) {
    const auto user = read<std::string>(call);
    if (!user || user->empty() || user->size() > wire::max_user_bytes)
        return fail(wire::code_invalid, "Unblock takes a user.");
    const auto uid = shell::uid_of(*user);
    return put(call, core::UnblockAsked{.token = 0,
                                        .user = *user,
                                        .uid = uid ? std::optional{*uid} : std::nullopt,
                                        .by = orderer(call)});
}

Result<> Api::list_blocks(const Call& call) {
    const auto now = base::read_clocks();
    std::vector<wire::Block> blocks;
    for (const auto* const block : shell_.machine().blocks(now))
        blocks.push_back(shown(*block, now));
    reply(call, [&](auto& sink) { return wire::append(sink, blocks); });
    return {};
}

} // namespace vigil::bus
