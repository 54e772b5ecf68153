// Opening, enrolling, listing. The checking of codes is in check.cpp, security keys are in
// keys.cpp.

#include "daemon/factors/factors.hpp"

#include "base/base32.hpp"
#include "base/hex.hpp"
#include "base/openssl.hpp"
#include "base/process.hpp"
#include "daemon/factors/recovery.hpp"
#include "daemon/factors/state.hpp"

#include <cerrno>

namespace vigil::factors {

namespace {

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

} // namespace

bool is_pending(std::int64_t created, const Now& now) noexcept {
    return created <= stamp(now.wall) && created >= stamp(now.wall - pending_lifetime);
}

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

Result<base::Secret> attempt_key_of(std::string_view key) {
    auto derived = base::hmac(base::Hash::sha256, key, "vigil factors, attempts, 1");
    if (!derived)
        return std::unexpected{derived.error()};
    return base::Secret{std::move(*derived)};
}

const std::string& Factors::host() const noexcept {
    return state_->host;
}

const std::string& Factors::key_name() const noexcept {
    return state_->key_name;
}

Result<Factors> Factors::open(const std::string& path, base::Secret key, std::string host_name,
                              std::string key_name) {
    auto database = open_database(path, key.view());
    if (!database)
        return std::unexpected{database.error()};
    auto watch = FileWatch::of(path);
    auto throttle = Throttle::prepare(*database);
    auto attempt_key = attempt_key_of(key.view());
    if (!watch || !throttle || !attempt_key)
        return std::unexpected{!watch      ? watch.error()
                               : !throttle ? throttle.error()
                                           : attempt_key.error()};
    std::unique_ptr<State> state{new State{.key = std::move(key),
                                           .key_name = std::move(key_name),
                                           .attempt_key = std::move(*attempt_key),
                                           .host = std::move(host_name),
                                           .database = std::move(*database),
                                           .watch = std::move(*watch),
                                           .throttle = std::move(*throttle)}};
    // Without it each start counts as a boot, and time to enrol goes by the date.
    state->boot_id = base::read_small_file("/proc/sys/kernel/random/boot_id").value_or("");
    const std::pair<base::Statement*, const char*> statements[] = {
        {&state->insert, "INSERT INTO factor VALUES (?1, ?2, ?3, ?7, ?4, ?5, ?6, ?8, -1, 0, x'')"},
        // A date in the future was written before the clock was turned back.
        {&state->purge, "DELETE FROM factor WHERE active = 0 AND"
                        " (uid = ?1 OR created < ?2 OR created > ?3)"},
        // Without what purge takes, or with a kind named what forget_kind takes.
        {&state->counts, "SELECT count(*), count(*) FILTER (WHERE uid = ?1) FROM factor"
                         " WHERE NOT CASE ?4 WHEN '' THEN active = 0 AND"
                         " (uid = ?1 OR created < ?2 OR created > ?3)"
                         " ELSE uid = ?1 AND kind = ?4 END"},
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
        {&state->find_key, "SELECT sealed, created, user FROM factor"
                           " WHERE id = ?1 AND uid = ?2 AND active = 0 AND kind = ?3"},
        {&state->activate_key,
         "UPDATE factor SET active = 1, sealed = ?2, last_step = ?3, last_used = ?4,"
         " name = CASE name WHEN '' THEN ?5 ELSE name END WHERE id = ?1 AND active = 0"},
        // Whether it counts, and how many others do: recovery codes are neither.
        {&state->last_of, "SELECT active = 1 AND kind <> 'recovery' AND NOT EXISTS (SELECT 1 FROM"
                          " factor AS other WHERE other.uid = ?2 AND other.active = 1"
                          " AND other.kind <> 'recovery' AND other.id <> ?1)"
                          " FROM factor WHERE id = ?1 AND uid = ?2"},
        {&state->put_ticket, "INSERT OR REPLACE INTO ticket VALUES (?1, ?2, ?3, ?4, ?5, ?6)"},
        {&state->find_ticket,
         "SELECT 1 FROM ticket WHERE uid = ?1 AND made <= ?2 AND expires > ?2"},
        {&state->take_ticket, "DELETE FROM ticket WHERE uid = ?1 AND mark = ?2 AND made <= ?3"
                              " AND expires > ?3"},
        {&state->count_tickets, "SELECT count(*) FROM ticket WHERE uid <> ?1"},
        {&state->lapse, "DELETE FROM ticket WHERE expires <= ?1 RETURNING uid, user, made_by"},
        {&state->find_person,
         "SELECT had_factor, met, used, looked, looked_boot, boot FROM person WHERE uid = ?1"},
        {&state->put_grace,
         "INSERT INTO person (uid, met, used, looked, looked_boot, boot) VALUES (?1, 1, ?2, ?3,"
         " ?4, ?5) ON CONFLICT (uid) DO UPDATE SET met = 1, used = excluded.used,"
         " looked = excluded.looked, looked_boot = excluded.looked_boot, boot = excluded.boot"},
        {&state->count_graces, "SELECT count(*) FROM person WHERE met = 1"},
        // A key that does not count says 0 each time.
        {&state->accept_key,
         "UPDATE factor SET last_step = ?2, last_used = ?3, accepted_attempt = ?4"
         " WHERE id = ?1 AND active = 1 AND (last_step < ?2 OR (last_step = 0 AND ?2 = 0))"},
    };
    for (const auto& [statement, sql] : statements) {
        auto prepared = state->database.prepare(sql);
        if (!prepared) // its version by its number, and yet its tables are others
            return fail(prepared.error().code != 0 ? prepared.error().code : EBADMSG,
                        path + ": " + prepared.error().what);
        *statement = std::move(*prepared);
    }
    return Factors{std::move(state)};
}

Result<> check_name(std::string_view name) {
    if (name.size() > max_name_bytes)
        return fail(EINVAL, "a name of more than 64 bytes");
    return {};
}

Result<base::Transaction> Factors::State::begin() {
    if (const auto sound = watch.check(); !sound)
        return std::unexpected{sound.error()};
    return base::Transaction::begin(database);
}

/// What is pending of the person makes room, or what is of the same kind.
Result<> Factors::State::find_room(std::uint32_t uid, std::string_view replaced_kind,
                                   const Now& now) {
    const base::Running counting{counts};
    if (const auto done = bound({counts.bind(1, std::int64_t{uid}),
                                 counts.bind(2, stamp(now.wall - pending_lifetime)),
                                 counts.bind(3, stamp(now.wall)), counts.bind(4, replaced_kind)});
        !done)
        return done;
    if (const auto counted = counts.step(); !counted)
        return std::unexpected{counted.error()};
    if (counts.integer(0) >= static_cast<std::int64_t>(max_factors_total) ||
        counts.integer(1) >= static_cast<std::int64_t>(max_factors_per_user))
        return fail(EDQUOT, "no more factors can be enrolled");
    return {};
}

Result<> Factors::check_new(std::uint32_t uid, const std::string& name, New what, const Now& now) {
    if (const auto sound = state_->watch.check(); !sound)
        return sound;
    if (const auto fits = check_name(name); !fits)
        return fits;
    return state_->find_room(uid, what == New::recovery ? recovery_kind : "", now);
}

Result<> Factors::State::add(const FactorRow& row, const Now& now) {
    auto transaction = begin();
    if (!transaction)
        return std::unexpected{transaction.error()};
    const bool pending = row.replaces == FactorRow::Replaces::pending;
    const std::int64_t uid = row.uid;
    if (const auto room = find_room(row.uid, pending ? std::string_view{} : row.kind, now); !room)
        return room;
    const base::Running purging{purge}, forgetting{forget_kind}, inserting{insert};
    if (const auto done =
            bound({purge.bind(1, uid), purge.bind(2, stamp(now.wall - pending_lifetime)),
                   purge.bind(3, stamp(now.wall)), forget_kind.bind(1, uid),
                   forget_kind.bind(2, row.kind), insert.bind(1, row.id), insert.bind(2, uid),
                   insert.bind(3, row.user), insert.bind(4, row.name),
                   insert.bind_blob(5, row.sealed), insert.bind(6, stamp(now.wall)),
                   insert.bind(7, row.kind), insert.bind(8, std::int64_t{pending ? 0 : 1})});
        !done)
        return done;
    if (const auto gone = pending ? purge.run() : forget_kind.run(); !gone)
        return gone;
    if (const auto inserted = insert.run(); !inserted)
        return inserted;
    // Behind it: the person's own counts stay.
    if (const auto forgotten = throttle.forget_unknown(now.wall); !forgotten)
        return forgotten;
    return transaction->commit();
}

Result<wire::Enrollment> Factors::enroll_totp(std::uint32_t uid, const std::string& user,
                                              const std::string& name, const TotpKind& kind,
                                              const Now& now) {
    if (const auto fits = check_name(name); !fits)
        return std::unexpected{fits.error()};
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

    if (const auto added = s.add({.id = text,
                                  .uid = uid,
                                  .user = user,
                                  .kind = kind_text,
                                  .name = name.empty() ? "totp" : name,
                                  .sealed = *sealed,
                                  .replaces = FactorRow::Replaces::pending},
                                 now);
        !added)
        return std::unexpected{added.error()};
    const base::Secret typed{base::base32_encode(secret.view())};
    return wire::Enrollment{.factor_id = text,
                            .uri = otpauth_uri(user, s.host, typed.view(), kind),
                            .secret = std::string{typed.view()}};
}

Result<> Factors::finish(const std::string& factor_id, std::uint32_t uid, std::string_view code,
                         const Now& now) {
    State& s = *state_;
    auto transaction = s.begin();
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
    if (!*step) {
        const auto counted = s.throttle.noted(uid, now.wall);
        const auto written = counted ? transaction->commit() : counted;
        return written ? fail(EACCES, "wrong code") : written;
    }
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
    if (const auto done = s.throttle.succeeded(uid, Source::unknown(), now.wall); !done)
        return done;
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

Result<bool> Factors::is_last(const std::string& factor_id, std::uint32_t uid) {
    State& s = *state_;
    const base::Running running{s.last_of};
    if (const auto done = bound(
            {s.watch.check(), s.last_of.bind(1, factor_id), s.last_of.bind(2, std::int64_t{uid})});
        !done)
        return std::unexpected{done.error()};
    const auto row = s.last_of.step();
    if (!row)
        return std::unexpected{row.error()};
    if (!*row)
        return fail(ENOENT, "no such factor");
    return s.last_of.integer(0) != 0;
}

Result<> Factors::forget_own(const std::string& factor_id, std::uint32_t uid) {
    // As one: of two that are forgotten at the same time one stays.
    auto transaction = base::Transaction::begin(state_->database);
    if (!transaction)
        return std::unexpected{transaction.error()};
    const auto last = is_last(factor_id, uid);
    if (!last)
        return std::unexpected{last.error()};
    if (*last)
        return fail(EPERM, "it is the last factor that counts");
    if (const auto gone = forget(factor_id); !gone)
        return gone;
    return transaction->commit();
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
        active.key = active.key || kind == key_kind;
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
    if (const auto added = s.add({.id = text,
                                  .uid = uid,
                                  .user = user,
                                  .kind = recovery_kind,
                                  .name = recovery_name(drawn->codes.size()),
                                  .sealed = *sealed,
                                  .replaces = FactorRow::Replaces::kind},
                                 now);
        !added)
        return std::unexpected{added.error()};
    return std::move(drawn->codes);
}

} // namespace vigil::factors
