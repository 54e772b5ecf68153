// One key for another: all that is sealed, in one transaction. A crash leaves a database that opens
// with one of the two, and as a whole.

#include "base/openssl.hpp"
#include "daemon/factors/state.hpp"

#include <cerrno>

namespace vigil::factors {

namespace {

struct Sealed {
    std::string id;
    std::uint32_t uid = 0;
    std::string kind;
    std::string sealed;
};

Result<std::vector<Sealed>> all_sealed(base::Database& database) {
    auto statement = database.prepare("SELECT id, uid, kind, sealed FROM factor");
    if (!statement)
        return std::unexpected{statement.error()};
    std::vector<Sealed> all;
    for (;;) {
        const auto row = statement->step();
        if (!row)
            return std::unexpected{row.error()};
        if (!*row)
            return all;
        all.push_back({std::string{statement->text(0)},
                       static_cast<std::uint32_t>(statement->integer(1)),
                       std::string{statement->text(2)}, std::string{statement->blob(3)}});
    }
}

/// Where it cannot be cut it is when the database is closed, or written over. Another file in its
/// place is found by the next who looks.
void cut_log(Factors::State& s) {
    if (s.database.exec("PRAGMA wal_checkpoint(TRUNCATE)"))
        s.watch.was_cut();
}

} // namespace

Result<Factors::Rekeyed> Factors::rekey(base::Secret key, std::string name) {
    State& s = *state_;
    if (key.view().size() != base::seal_key_bytes)
        return fail(EINVAL, "the key has not 32 bytes");
    if (name == s.key_name || base::equal_in_constant_time(key.view(), s.key.view()))
        return fail(EINVAL, "it is the key that is in use");
    auto attempt_key = attempt_key_of(key.view());
    if (!attempt_key)
        return std::unexpected{attempt_key.error()};
    auto transaction = s.begin();
    if (!transaction)
        return std::unexpected{transaction.error()};
    const auto rows = all_sealed(s.database);
    auto update = s.database.prepare("UPDATE factor SET sealed = ?2 WHERE id = ?1");
    if (!rows || !update)
        return std::unexpected{rows ? update.error() : rows.error()};
    Rekeyed done;
    for (const auto& row : *rows) {
        const auto purpose = purpose_of(row.id, row.uid, row.kind);
        const auto secret = base::unseal(s.key.view(), purpose, row.sealed);
        if (!secret) { // broken before; a new seal would make it look whole
            ++done.broken;
            continue;
        }
        const auto sealed = base::seal(key.view(), purpose, secret->view());
        if (!sealed)
            return std::unexpected{sealed.error()};
        const base::Running running{*update};
        if (const auto put = bound({update->bind(1, row.id), update->bind_blob(2, *sealed)}); !put)
            return std::unexpected{put.error()};
        if (const auto written = update->run(); !written)
            return std::unexpected{written.error()};
        ++done.sealed;
    }
    // Their digests are by the key that goes.
    if (const auto gone = s.database.exec("DELETE FROM ticket"); !gone)
        return std::unexpected{gone.error()};
    if (const auto proved = prove_key(s.database, key.view()); !proved)
        return std::unexpected{proved.error()};
    if (const auto committed = transaction->commit(); !committed) {
        // What failed to be written may be whole on the disk all the same, for the next to find.
        cut_log(s);
        return std::unexpected{committed.error()};
    }
    s.key = std::move(key);
    s.attempt_key = std::move(*attempt_key);
    s.key_name = std::move(name);
    cut_log(s); // what the old key opens is in it yet
    return done;
}

} // namespace vigil::factors
