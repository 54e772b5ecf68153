// Proofs that still count: who has them, and taking them back.

#include "base/clock.hpp"
#include "base/console.hpp"
#include "daemon/bus/parse.hpp"
#include "daemon/shell/facts.hpp"

namespace vigil::bus {

namespace {

std::string user_of(const core::GrantView& grant) {
    const auto uid = grant.record->uid;
    const auto& login = grant.session->facts;
    // Root in somebody's session proves what he is asked for himself.
    return uid == login.uid ? login.user : uid == 0 ? "root" : "#" + std::to_string(uid);
}

wire::Grant shown(const core::GrantView& grant, const Now& now) {
    const auto& record = *grant.record;
    return {.id = record.id.text(),
            .session = record.session.text(),
            .user = user_of(grant),
            .uid = record.uid,
            .terminal = record.terminal == 0
                            ? std::string{}
                            : base::terminal_name(static_cast<dev_t>(record.terminal)),
            .rule = static_cast<std::uint32_t>(grant.rule),
            .run_as = grant.run_as,
            .expires = wire_time(shell::wall_time_of(record.expires, now)),
            .uses_left = record.uses_left == UINT32_MAX ? wire::unlimited : record.uses_left,
            .source = {},
            .after = {}};
}

wire::Grant shown(const core::RememberedLogin& login, const Now& now) {
    return {.id = login.id.text(),
            .session = {},
            .user = login.user,
            .uid = login.uid,
            .terminal = {},
            .rule = 0,
            .run_as = {},
            .expires = wire_time(shell::wall_time_of(login.expires, now)),
            .uses_left = wire::unlimited,
            .source = login.host,
            .after = login.after};
}

} // namespace

std::optional<uid_t> Api::owner_of_grant(const std::string& text) const {
    const auto id = core::SessionId::from_text(text);
    return id ? shell_.machine().owner_of_grant(*id) : std::nullopt;
}

void Api::tell_grants(const Call& call, std::optional<std::uint32_t> whose) {
    const auto now = base::read_clocks();
    std::vector<wire::Grant> grants;
    for (const auto& grant : shell_.machine().grants(whose, now))
        grants.push_back(shown(grant, now));
    for (const auto* login : shell_.machine().remembered(whose, now))
        grants.push_back(shown(*login, now));
    reply(call, [&](auto& sink) { return wire::append(sink, grants); });
}

/// One's own wait for nobody: polkit, which may be slow or away, is asked for others' alone.
Result<> Api::list_grants(const Call& call) {
    tell_grants(call, call.shown);
    return {};
}

Result<> Api::list_all_grants(const Call& call) {
    tell_grants(call, std::nullopt);
    return {};
}

Result<> Api::revoke(const Call& call) {
    const auto text = read<std::string>(call);
    if (!text)
        return std::unexpected{text.error()};
    const auto id = core::SessionId::from_text(*text);
    if (!id)
        return fail(wire::code_invalid, "That is not the id of a grant.");
    return put(call, core::RevokeAsked{.token = 0, .grant = *id, .by = orderer(call)});
}

} // namespace vigil::bus
