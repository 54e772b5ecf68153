// Opening, enrolling, listing. The checking of codes is in check.cpp.

#include "daemon/factors/factors.hpp"

#include "base/base32.hpp"
#include "base/hex.hpp"
#include "base/openssl.hpp"
#include "daemon/factors/recovery.hpp"
#include "daemon/factors/state.hpp"
#include "daemon/factors/totp.hpp"

#include <cerrno>

namespace vigil::factors {

namespace {

constexpr std::size_t id_bytes = 8; ///< it names and never authorizes
constexpr std::size_t max_name_bytes = 64;

Result<std::vector<wire::Factor>> read_factors(base::Statement& statement) {
    std::vector<wire::Factor> factors;
    for (;;) {
        const auto row = statement.step();
        if (!row)
            return std::unexpected{row.error()};
        if (!*row)
            return factors;
        factors.push_back({
            .id = std::string{statement.text(0)},
            .user = std::string{statement.text(2)},
            .uid = static_cast<std::uint32_t>(statement.integer(1)),
            .kind = std::string{statement.text(3)},
            .name = std::string{statement.text(4)},
            .created = static_cast<std::uint64_t>(statement.integer(5)),
            .last_used = static_cast<std::uint64_t>(statement.integer(6)),
            .active = statement.integer(7) != 0,
        });
    }
}

/// Whether an enrolment begun then can still be proved. One of the future was written before the
/// clock was turned back.
bool is_pending(std::int64_t created, const Now& now) {
    return created <= stamp(now.wall) && created >= stamp(now.wall - pending_lifetime);
}

} // namespace

std::string purpose_of(std::string_view id, std::uint32_t uid, std::string_view kind) {
    std::string purpose{"vigil factor"};
    for (const auto& part : {std::string{id}, std::to_string(uid), std::string{kind}}) {
        purpose += '\0'; // in none of the parts
        purpose += part;
    }
    return purpose;
}

Factors::Factors(std::unique_ptr<State> state) : state_{std::move(state)} {}
Factors::Factors(Factors&&) noexcept = default;
Factors::~Factors() = default;

Result<Factors> Factors::open(const std::string& path, base::Secret key, std::string host_name) {
    auto database = open_database(path, key.view());
    if (!database)
        return std::unexpected{database.error()};
    auto watch = FileWatch::of(path);
    auto throttle = Throttle::prepare(*database);
    auto attempt_key = base::hmac(base::Hash::sha256, key.view(), "vigil factors, attempts, 1");
    if (!watch || !throttle || !attempt_key)
        return std::unexpected{!watch      ? watch.error()
                               : !throttle ? throttle.error()
                                           : attempt_key.error()};
    std::unique_ptr<State> state{new State{.key = std::move(key),
                                           .attempt_key = base::Secret{std::move(*attempt_key)},
                                           .host = std::move(host_name),
                                           .database = std::move(*database),
                                           .watch = std::move(*watch),
                                           .throttle = std::move(*throttle)}};
    const std::pair<base::Statement*, const char*> statements[] = {
        {&state->insert, "INSERT INTO factor VALUES (?1, ?2, ?3, ?7, ?4, ?5, ?6, ?8, -1, 0, x'')"},
        // A date in the future was written before the clock was turned back.
        {&state->purge, "DELETE FROM factor WHERE active = 0 AND"
                        " (uid = ?1 OR created < ?2 OR created > ?3)"},
        {&state->counts, "SELECT count(*), count(*) FILTER (WHERE uid = ?1) FROM factor"},
        {&state->find, "SELECT sealed, created, kind FROM factor"
                       " WHERE id = ?1 AND uid = ?2 AND active = 0"},
        {&state->owner, "SELECT uid FROM factor WHERE id = ?1"},
        {&state->remove, "DELETE FROM factor WHERE id = ?1"},
        {&state->kinds_of, "SELECT kind FROM factor WHERE uid = ?1 AND active = 1"},
        {&state->forget_kind, "DELETE FROM factor WHERE uid = ?1 AND kind = ?2"},
        {&state->use_up, "UPDATE factor SET sealed = ?2, last_used = ?3, accepted_attempt = ?4,"
                         " name = ?5 WHERE id = ?1 AND active = 1"},
        {&state->all, "SELECT id, uid, user, kind, name, created, last_used, active FROM factor"
                      " ORDER BY uid, created, id"},
        {&state->all_of, "SELECT id, uid, user, kind, name, created, last_used, active FROM factor"
                         " WHERE uid = ?1 ORDER BY created, id"},
        {&state->active_of, "SELECT id, sealed, last_used, accepted_attempt, kind FROM factor"
                            " WHERE uid = ?1 AND active = 1"},
        {&state->activate, "UPDATE factor SET active = 1, last_step = ?2, last_used = ?3"
                           " WHERE id = ?1 AND active = 0"},
        {&state->accept, "UPDATE factor SET last_step = ?2, last_used = ?3, accepted_attempt = ?4"
                         " WHERE id = ?1 AND active = 1 AND last_step < ?2"},
    };
    for (const auto& [statement, sql] : statements) {
        auto prepared = state->database.prepare(sql);
        if (!prepared) // version 1 by its number, and yet its tables are others
            return fail(prepared.error().code != 0 ? prepared.error().code : EBADMSG,
                        path + ": " + prepared.error().what);
        *statement = std::move(*prepared);
    }
    return Factors{std::move(state)};
}

Result<wire::Enrollment> Factors::enroll_totp(std::uint32_t uid, const std::string& user,
                                              const std::string& name, const TotpKind& kind,
                                              const Now& now) {
    if (name.size() > max_name_bytes)
        return fail(EINVAL, "a name of more than 64 bytes");
    State& s = *state_;
    auto id = base::random_bytes(id_bytes);
    auto drawn = base::random_bytes(secret_bytes(kind));
    if (!id || !drawn)
        return std::unexpected{id ? drawn.error() : id.error()};
    const base::Secret secret{std::move(*drawn)};
    const std::string text = base::hex_encode(*id);
    const std::string kind_text = text_of(kind);
    const auto sealed = base::seal(s.key.view(), purpose_of(text, uid, kind_text), secret.view());
    if (!sealed)
        return std::unexpected{sealed.error()};

    if (const auto sound = s.watch.check(); !sound)
        return std::unexpected{sound.error()};
    auto transaction = base::Transaction::begin(s.database);
    if (!transaction)
        return std::unexpected{transaction.error()};
    const base::Running purging{s.purge}, counting{s.counts}, inserting{s.insert};
    if (const auto done =
            bound({s.purge.bind(1, std::int64_t{uid}),
                   s.purge.bind(2, stamp(now.wall - pending_lifetime)),
                   s.purge.bind(3, stamp(now.wall)), s.counts.bind(1, std::int64_t{uid})});
        !done)
        return std::unexpected{done.error()};
    if (const auto purged = s.purge.run(); !purged)
        return std::unexpected{purged.error()};
    if (const auto row = s.counts.step(); !row)
        return std::unexpected{row.error()};
    if (s.counts.integer(0) >= static_cast<std::int64_t>(max_factors_total) ||
        s.counts.integer(1) >= static_cast<std::int64_t>(max_factors_per_user))
        return fail(EDQUOT, "no more factors can be enrolled");
    if (const auto done = bound(
            {s.insert.bind(1, text), s.insert.bind(2, std::int64_t{uid}), s.insert.bind(3, user),
             s.insert.bind(4, name.empty() ? "totp" : name), s.insert.bind_blob(5, *sealed),
             s.insert.bind(6, stamp(now.wall)), s.insert.bind(7, kind_text), s.insert.bind(8, std::int64_t{0})});
        !done)
        return std::unexpected{done.error()};
    if (const auto inserted = s.insert.run(); !inserted)
        return std::unexpected{inserted.error()};
    if (const auto committed = transaction->commit(); !committed)
        return std::unexpected{committed.error()};
    const std::string typed = base::base32_encode(secret.view());
    return wire::Enrollment{
        .factor_id = text, .uri = otpauth_uri(user, s.host, typed, kind), .secret = typed};
}

Result<> Factors::finish(const std::string& factor_id, std::uint32_t uid, std::string_view code,
                         const Now& now) {
    State& s = *state_;
    if (const auto sound = s.watch.check(); !sound)
        return sound;
    auto transaction = base::Transaction::begin(s.database);
    if (!transaction)
        return std::unexpected{transaction.error()};
    const base::Running finding{s.find}, activating{s.activate};
    if (const auto done = bound({s.find.bind(1, factor_id), s.find.bind(2, std::int64_t{uid})});
        !done)
        return done;
    const auto row = s.find.step();
    if (!row)
        return std::unexpected{row.error()};
    const std::int64_t created = *row ? s.find.integer(1) : 0;
    if (!*row || !is_pending(created, now))
        return fail(ENOENT, "no such enrolment is pending");
    const std::string kind_text{s.find.text(2)};
    const auto kind = totp_kind_of(kind_text);
    if (!kind) // of another version, say
        return fail(ENOENT, "no such enrolment is pending");
    const auto secret =
        base::unseal(s.key.view(), purpose_of(factor_id, uid, kind_text), s.find.blob(0));
    if (!secret)
        return std::unexpected{secret.error()};
    const auto step = matching_step(secret->view(), code, totp_step(now.wall), *kind);
    if (!step)
        return std::unexpected{step.error()};
    if (!*step)
        return fail(EACCES, "wrong code");
    // The step is taken with it: the code that proved the enrolment opens nothing more.
    if (const auto done = bound({s.activate.bind(1, factor_id),
                                 s.activate.bind(2, static_cast<std::int64_t>(**step)),
                                 s.activate.bind(3, stamp(now.wall))});
        !done)
        return done;
    if (const auto activated = s.activate.run(); !activated)
        return activated;
    if (s.database.changes() != 1)
        return fail(ENOENT, "no such enrolment is pending");
    return transaction->commit();
}

Result<std::vector<wire::Factor>> Factors::list(std::optional<std::uint32_t> uid, const Now& now) {
    base::Statement& statement = uid ? state_->all_of : state_->all;
    const base::Running running{statement};
    if (const auto sound = state_->watch.check(); !sound)
        return std::unexpected{sound.error()};
    if (uid)
        if (const auto done = statement.bind(1, std::int64_t{*uid}); !done)
            return std::unexpected{done.error()};
    auto factors = read_factors(statement);
    if (factors)
        // What can no longer be proved is gone, though its row stays until the next enrolment.
        std::erase_if(*factors, [&](const wire::Factor& factor) {
            return !factor.active && !is_pending(static_cast<std::int64_t>(factor.created), now);
        });
    return factors;
}

Result<std::uint32_t> Factors::owner_of(const std::string& factor_id) {
    const base::Running running{state_->owner};
    if (const auto done = bound({state_->watch.check(), state_->owner.bind(1, factor_id)}); !done)
        return std::unexpected{done.error()};
    const auto row = state_->owner.step();
    if (!row)
        return std::unexpected{row.error()};
    if (!*row)
        return fail(ENOENT, "no such factor");
    return static_cast<std::uint32_t>(state_->owner.integer(0));
}

Result<> Factors::forget(const std::string& factor_id) {
    const base::Running running{state_->remove};
    if (const auto done = bound({state_->watch.check(), state_->remove.bind(1, factor_id)}); !done)
        return done;
    if (const auto removed = state_->remove.run(); !removed)
        return removed;
    if (state_->database.changes() == 0)
        return fail(ENOENT, "no such factor");
    return {};
}

Result<Factors::Active> Factors::active(std::uint32_t uid) {
    const base::Running running{state_->kinds_of};
    if (const auto done =
            bound({state_->watch.check(), state_->kinds_of.bind(1, std::int64_t{uid})});
        !done)
        return std::unexpected{done.error()};
    Active active;
    for (;;) {
        const auto row = state_->kinds_of.step();
        if (!row)
            return std::unexpected{row.error()};
        if (!*row)
            return active;
        const auto kind = state_->kinds_of.text(0);
        active.recovery = active.recovery || kind == recovery_kind;
        active.totp = active.totp || totp_kind_of(kind);
    }
}

std::string recovery_name(std::size_t left) {
    return std::to_string(left) + (left == 1 ? " code left" : " codes left");
}

Result<std::vector<base::Secret>> Factors::renew_recovery(std::uint32_t uid,
                                                          const std::string& user, const Now& now) {
    State& s = *state_;
    const auto id = base::random_bytes(id_bytes);
    auto drawn = RecoverySet::draw();
    if (!id || !drawn)
        return std::unexpected{id ? drawn.error() : id.error()};
    const std::string text = base::hex_encode(*id);
    const base::Secret kept{drawn->set.bytes()};
    const auto sealed = base::seal(s.key.view(), purpose_of(text, uid, recovery_kind), kept.view());
    if (!sealed)
        return std::unexpected{sealed.error()};
    if (const auto sound = s.watch.check(); !sound)
        return std::unexpected{sound.error()};
    auto transaction = base::Transaction::begin(s.database);
    if (!transaction)
        return std::unexpected{transaction.error()};
    const base::Running forgetting{s.forget_kind}, counting{s.counts}, inserting{s.insert};
    if (const auto done =
            bound({s.forget_kind.bind(1, std::int64_t{uid}), s.forget_kind.bind(2, recovery_kind),
                   s.counts.bind(1, std::int64_t{uid})});
        !done)
        return std::unexpected{done.error()};
    if (const auto forgotten = s.forget_kind.run(); !forgotten)
        return std::unexpected{forgotten.error()};
    if (const auto row = s.counts.step(); !row)
        return std::unexpected{row.error()};
    if (s.counts.integer(0) >= static_cast<std::int64_t>(max_factors_total) ||
        s.counts.integer(1) >= static_cast<std::int64_t>(max_factors_per_user))
        return fail(EDQUOT, "no more factors can be enrolled");
    if (const auto done =
            bound({s.insert.bind(1, text), s.insert.bind(2, std::int64_t{uid}),
                   s.insert.bind(3, user), s.insert.bind(4, recovery_name(drawn->codes.size())),
                   s.insert.bind_blob(5, *sealed), s.insert.bind(6, stamp(now.wall)),
                   s.insert.bind(7, recovery_kind), s.insert.bind(8, std::int64_t{1})});
        !done)
        return std::unexpected{done.error()};
    if (const auto inserted = s.insert.run(); !inserted)
        return std::unexpected{inserted.error()};
    if (const auto committed = transaction->commit(); !committed)
        return std::unexpected{committed.error()};
    return std::move(drawn->codes);
}

} // namespace vigil::factors
