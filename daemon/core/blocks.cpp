// Users whom an operator has blocked: who they are, until when, and what of theirs ends with it.

#include "daemon/core/step_up.hpp"
#include "wire/names.hpp"

#include <algorithm>

namespace vigil::core {

namespace {

Audit about(AuditKind kind, const BlockRecord& block, std::string text, std::string reason = {}) {
    return {.kind = kind,
            .session = std::nullopt,
            .user = block.user,
            .uid = block.uid,
            .service = "vigilctl",
            .rule = {},
            .text = std::move(text),
            .reason = std::move(reason)};
}

std::string until_text(const BlockRecord& block, Seconds utc_offset) {
    return block.until == BootTime::max() ? "until further notice"
                                          : "until " + date_text(block.until_wall, utc_offset);
}

/// "1000, 1001 and 1002": as many as fit a line.
std::string list_text(const std::vector<std::uint32_t>& uids) {
    constexpr std::size_t most_named = 8;
    const auto named = std::min(uids.size(), most_named);
    std::string text;
    for (std::size_t i = 0; i < named; ++i)
        text += (i == 0 ? "" : i + 1 == uids.size() ? " and " : ", ") + std::to_string(uids[i]);
    return named == uids.size() ? text
                                : text + " and " + std::to_string(uids.size() - named) + " more";
}

} // namespace

std::string block_text(const BlockRecord& block, Seconds utc_offset) {
    return block.user + " is blocked on this host " + until_text(block, utc_offset) + ": " +
           block.reason;
}

/// What ended while the machine was off ends now: before the boot there is no time.
BootTime end_after_reboot(const BlockRecord& block, const Now& now) {
    const auto left = std::min(block.until_wall - now.wall, block.until_wall - block.since);
    return now.boot + std::max(left, WallTime::duration{0});
}

const BlockRecord* Machine::Data::find_block(std::uint32_t uid, const Now& now) const {
    const auto found = blocks.find(uid);
    return enforcing() && found != blocks.end() && found->second.until > now.boot ? &found->second
                                                                                  : nullptr;
}

std::optional<std::string> Machine::Data::why_blocked(std::uint32_t uid, const Now& now) const {
    const auto* const block = find_block(uid, now);
    return block ? std::optional{block_text(*block, now.utc_offset)} : std::nullopt;
}

/// Whoever stands behind it; and whom it is to become, unless root asks: his `su` is a cron job's
/// or an operator's. The login counts though its user has become root.
std::optional<std::string> Machine::Data::why_blocked(const StepUpAsked& asked,
                                                      const Now& now) const {
    for (const auto& subject : asked.subjects)
        if (auto why = why_blocked(subject.uid, now))
            return why;
    if (asked.login_uid)
        if (auto why = why_blocked(*asked.login_uid, now))
            return why;
    const auto session = asked.session ? sessions.find(*asked.session) : sessions.end();
    if (session != sessions.end())
        if (auto why = why_blocked(session->second.record.facts.uid, now))
            return why;
    if (asked.becomes && !asked.subjects.empty() && asked.subjects.front().uid != 0)
        return why_blocked(*asked.becomes, now);
    return std::nullopt;
}

std::optional<std::string> Machine::Data::why_blocked(const Answerer& by, const Now& now) const {
    auto why = why_blocked(by.person.uid, now);
    return why || !by.login_uid ? why : why_blocked(*by.login_uid, now);
}

/// All of them, as the mode has it: where vigil only observes nobody is to find a mark.
void Machine::Data::store_blocks(const Now& now, Effects& effects) const {
    for (const auto& [uid, block] : blocks)
        effects.push_back(StoreBlock{
            .token = 0, .record = block, .utc_offset = now.utc_offset, .marked = enforcing()});
}

void Machine::Data::note_block_ends() {
    next_block_end.reset();
    for (const auto& [uid, block] : blocks)
        if (block.until != BootTime::max())
            next_block_end = std::min(next_block_end.value_or(block.until), block.until);
}

Effects Machine::Data::on(const BlockAsked& asked, const Now& now) {
    const auto no = [&](const char* error, std::string why) {
        return Effects{ReplyDone{asked.token, error, std::move(why)}};
    };
    if (asked.uid == 0)
        return no(wire::error_denied, "Root cannot be blocked: there is always a way back in.");
    if (!enforcing())
        return no(wire::error_denied,
                  "vigil only observes on this host (mode: observe): nobody is blocked.");
    if (blocks.size() >= max_blocks && !blocks.contains(asked.uid))
        return no(wire::error_too_many, "There are " + std::to_string(max_blocks) +
                                            " blocked users already, and no more are kept.");
    const BlockRecord block{
        .uid = asked.uid,
        .user = asked.user,
        .reason = asked.reason,
        .by = asked.by,
        .since = now.wall,
        .until = asked.lasts ? now.boot + *asked.lasts : BootTime::max(),
        .until_wall = asked.lasts ? now.wall + *asked.lasts : WallTime{},
    };
    blocks[asked.uid] = block;
    note_block_ends();
    Effects effects{
        StoreBlock{
            .token = asked.token, .record = block, .utc_offset = now.utc_offset, .marked = true},
        about(AuditKind::user_blocked, block,
              "blocked " + until_text(block, now.utc_offset) + " by " +
                  with_reason(asked.by, asked.reason),
              asked.reason)};
    end_proofs(asked.uid, effects);
    for (auto& [id, session] : sessions)
        if (session.record.facts.uid == asked.uid)
            keep_locked(session, now, effects);
    return effects;
}

/// Who is blocked and may be meant, by uid: one alone, where that is known.
std::vector<std::uint32_t> Machine::Data::meant(const UnblockAsked& asked, const Now& now) const {
    std::vector<std::uint32_t> named;
    for (const auto& [uid, block] : blocks) {
        if (block.until <= now.boot)
            continue;
        if (uid == asked.uid || std::to_string(uid) == asked.user)
            return {uid};
        if (block.user == asked.user)
            named.push_back(uid);
    }
    return named;
}

Effects Machine::Data::on(const UnblockAsked& asked, const Now& now) {
    const auto found = meant(asked, now);
    if (found.empty())
        return {refused(asked.token, wire::error_not_found,
                        asked.uid ? asked.user + " is not blocked."
                                  : "Nobody is blocked under the name " + asked.user + ".")};
    if (found.size() > 1)
        return {refused(asked.token, wire::error_invalid,
                        "Blocked under the name " + asked.user + " are " + list_text(found) +
                            ", and " + (found.size() == 2 ? "neither" : "none of them") +
                            " has it now: give the number.")};
    const auto uid = found.front();
    Effects effects{EraseBlock{.token = asked.token, .uid = uid},
                    about(AuditKind::user_unblocked, blocks.at(uid), "unblocked by " + asked.by)};
    blocks.erase(uid);
    note_block_ends();
    return effects;
}

/// Whatever became of the files, it is in force, or over, as long as vigild lives.
Effects Machine::Data::on(const BlockKept& kept, const Now&) {
    if (kept.token == 0)
        return {};
    if (kept.failure.empty())
        return {done(kept.token)};
    return {refused(kept.token, wire::error_broken,
                    "That is so now, but it could not be written down, and a restart of vigild "
                    "may change it back: " +
                        kept.failure)};
}

void Machine::Data::lapse_blocks(const Now& now, Effects& effects) {
    if (!next_block_end || *next_block_end > now.boot)
        return;
    std::erase_if(blocks, [&](const auto& entry) {
        const auto& [uid, block] = entry;
        if (block.until > now.boot)
            return false;
        effects.push_back(EraseBlock{.token = 0, .uid = uid});
        effects.push_back(about(AuditKind::block_expired, block, "is not blocked any more"));
        return true;
    });
    note_block_ends();
}

/// What he has proved, and what waits for a proof of his.
void Machine::Data::end_proofs(std::uint32_t uid, Effects& effects) {
    revoke_of(uid, "the user is blocked", effects);
    std::vector<SessionId> over;
    for (const auto& request : requests)
        if (is_behind(request, uid))
            over.push_back(request.id);
    for (const auto& id : over)
        drop_request(id, "Who asked is blocked.", effects);
}

void Machine::restore(std::vector<BlockRecord> blocks) {
    for (auto& block : blocks)
        data_->blocks.try_emplace(block.uid, std::move(block));
    data_->note_block_ends();
}

std::optional<std::string> Machine::why_blocked(std::uint32_t uid, const Now& now) const {
    return data_->why_blocked(uid, now);
}

std::optional<std::string> Machine::why_blocked(const StepUpAsked& asked, const Now& now) const {
    return data_->why_blocked(asked, now);
}

std::vector<const BlockRecord*> Machine::blocks(const Now& now) const {
    std::vector<const BlockRecord*> found;
    for (const auto& [uid, block] : data_->blocks)
        if (block.until > now.boot)
            found.push_back(&block);
    return found;
}

} // namespace vigil::core
