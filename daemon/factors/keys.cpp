// Security keys: enrolled by what they sign, and checked by it.
//
// What is sealed in a row is a letter and, while the key is pending, the nonce that it has to sign,
// afterwards its public half. Sealed for its row, so that whoever writes to the file can put in no
// key of his own, nor another's, and the letter keeps a nonce from being read as a key.

#include "base/hex.hpp"
#include "base/openssl.hpp"
#include "daemon/factors/ssh_key.hpp"
#include "daemon/factors/state.hpp"
#include "wire/challenge.hpp"

#include <algorithm>
#include <cerrno>

namespace vigil::factors {

namespace {

constexpr char nonce_letter = 'n';
constexpr char key_letter = 'k';

/// What is behind the letter; nullopt: it does not open, or is the other thing.
std::optional<std::string> opened(const Factors::State& s, const std::string& id, std::uint32_t uid,
                                  std::string_view sealed, char letter) {
    const auto content = base::unseal(s.key.view(), purpose_of(id, uid, key_kind), sealed);
    if (!content || !content->view().starts_with(letter))
        return std::nullopt;
    return std::string{content->view().substr(1)};
}

Result<std::string> sealed_for(const Factors::State& s, const std::string& id, std::uint32_t uid,
                               char letter, std::string_view content) {
    return base::seal(s.key.view(), purpose_of(id, uid, key_kind),
                      std::string{letter} + std::string{content});
}

struct KeyRow {
    std::string id;
    std::string blob;
    WallTime last_used;
    std::string accepted_attempt;
};

Result<std::vector<KeyRow>> rows_of(Factors::State& s, std::uint32_t uid) {
    const base::Running running{s.active_of};
    if (const auto done = s.active_of.bind(1, std::int64_t{uid}); !done)
        return std::unexpected{done.error()};
    std::vector<KeyRow> rows;
    for (;;) {
        const auto row = s.active_of.step();
        if (!row)
            return std::unexpected{row.error()};
        if (!*row)
            return rows;
        if (s.active_of.text(4) != key_kind)
            continue;
        std::string id{s.active_of.text(0)};
        // One that does not open does not take the person's others away.
        if (auto blob = opened(s, id, uid, s.active_of.blob(1), key_letter))
            rows.push_back({std::move(id), std::move(*blob),
                            WallTime{Microseconds{s.active_of.integer(2)}},
                            std::string{s.active_of.blob(3)}});
    }
}

/// What is pending: the bytes that its key has to sign. ENOENT: nothing is.
Result<std::string> pending_challenge(Factors::State& s, const std::string& id, std::uint32_t uid,
                                      const Now& now) {
    const auto none = fail(ENOENT, "no such enrolment is pending");
    const base::Running finding{s.find_key};
    if (const auto done = bound({s.find_key.bind(1, id), s.find_key.bind(2, std::int64_t{uid}),
                                 s.find_key.bind(3, key_kind)});
        !done)
        return std::unexpected{done.error()};
    const auto row = s.find_key.step();
    if (!row)
        return std::unexpected{row.error()};
    if (!*row || !is_pending(s.find_key.integer(1), now))
        return none;
    wire::Challenge challenge{.purpose = wire::Challenge::Purpose::enroll,
                              .host = s.host,
                              .user = std::string{s.find_key.text(2)}};
    const auto nonce = opened(s, id, uid, s.find_key.blob(0), nonce_letter);
    if (!nonce || nonce->size() != challenge.nonce.size())
        return none;
    std::ranges::copy(*nonce, challenge.nonce.begin());
    return bytes_of(challenge);
}

Result<std::string> mark_of(const Factors::State& s, std::uint32_t uid, std::string_view signature,
                            const std::array<std::uint8_t, 16>& attempt) {
    std::string text{reinterpret_cast<const char*>(attempt.data()), attempt.size()};
    text += "key:" + std::to_string(uid) + ':';
    text += signature;
    return base::hmac(base::Hash::sha256, s.attempt_key.view(), text);
}

/// True if the counter went on from where it stood: the conditional write alone decides.
Result<bool> count(Factors::State& s, const std::string& id, std::uint32_t counter,
                   std::string_view mark, WallTime now) {
    const base::Running running{s.accept_key};
    if (const auto done =
            bound({s.accept_key.bind(1, id), s.accept_key.bind(2, std::int64_t{counter}),
                   s.accept_key.bind(3, stamp(now)), s.accept_key.bind_blob(4, mark)});
        !done)
        return std::unexpected{done.error()};
    if (const auto written = s.accept_key.run(); !written)
        return std::unexpected{written.error()};
    return s.database.changes() == 1;
}

} // namespace

Result<wire::KeyEnrollment> Factors::enroll_key(std::uint32_t uid, const std::string& user,
                                                const std::string& name, const Now& now) {
    if (const auto fits = check_name(name); !fits)
        return std::unexpected{fits.error()};
    State& s = *state_;
    wire::KeyEnrollment enrollment{.host = s.host, .user = user};
    const auto id = base::random_bytes(id_bytes);
    const auto nonce = base::random_bytes(enrollment.nonce.size());
    if (!id || !nonce)
        return std::unexpected{id ? nonce.error() : id.error()};
    enrollment.factor_id = base::hex_encode(*id);
    std::ranges::copy(*nonce, enrollment.nonce.begin());
    auto sealed = sealed_for(s, enrollment.factor_id, uid, nonce_letter, *nonce);
    if (!sealed)
        return std::unexpected{sealed.error()};
    const auto added = s.add({.id = enrollment.factor_id,
                              .uid = uid,
                              .user = user,
                              .kind = key_kind,
                              .name = name,
                              .sealed = std::move(*sealed),
                              .replaces = FactorRow::Replaces::pending},
                             now);
    if (!added)
        return std::unexpected{added.error()};
    return enrollment;
}

Result<> Factors::finish_key(const std::string& factor_id, std::uint32_t uid, std::string_view blob,
                             std::string_view signature, const Now& now) {
    State& s = *state_;
    const auto key = wire::parse_security_key(blob);
    if (!key)
        return std::unexpected{key.error()};
    auto transaction = s.begin();
    if (!transaction)
        return std::unexpected{transaction.error()};
    const auto challenge = pending_challenge(s, factor_id, uid, now);
    if (!challenge)
        return std::unexpected{challenge.error()};
    const auto use = verify_key(*key, *challenge, signature);
    if (!use)
        return std::unexpected{use.error()};
    const auto has = rows_of(s, uid);
    if (!has)
        return std::unexpected{has.error()};
    if (std::ranges::find(*has, blob, &KeyRow::blob) != has->end())
        return fail(EEXIST, "this key is enrolled already");
    const auto sealed = sealed_for(s, factor_id, uid, key_letter, blob);
    if (!sealed)
        return std::unexpected{sealed.error()};
    const base::Running activating{s.activate_key};
    if (const auto done =
            bound({s.activate_key.bind(1, factor_id), s.activate_key.bind_blob(2, *sealed),
                   s.activate_key.bind(3, std::int64_t{use->counter}),
                   s.activate_key.bind(4, stamp(now.wall)),
                   s.activate_key.bind(5, wire::fingerprint_of(blob))});
        !done)
        return done;
    if (const auto activated = s.activate_key.run(); !activated)
        return activated;
    if (s.database.changes() != 1)
        return fail(ENOENT, "no such enrolment is pending");
    return transaction->commit();
}

Result<std::vector<std::string>> Factors::keys_of(std::uint32_t uid) {
    if (const auto sound = state_->watch.check(); !sound)
        return std::unexpected{sound.error()};
    auto rows = rows_of(*state_, uid);
    if (!rows)
        return std::unexpected{rows.error()};
    std::vector<std::string> blobs;
    for (auto& row : *rows)
        blobs.push_back(std::move(row.blob));
    return blobs;
}

Result<KeyOutcome> Factors::check_key(std::uint32_t uid, const Source& source,
                                      std::string_view blob, std::string_view bytes,
                                      std::string_view signature,
                                      const std::array<std::uint8_t, 16>& attempt, const Now& now) {
    using Verdict = KeyOutcome::Verdict;
    State& s = *state_;
    const auto mark = mark_of(s, uid, signature, attempt);
    if (!mark)
        return std::unexpected{mark.error()};
    auto transaction = s.begin();
    if (!transaction)
        return std::unexpected{transaction.error()};
    const auto rows = rows_of(s, uid);
    if (!rows)
        return std::unexpected{rows.error()};
    if (rows->empty()) // nothing to count, and no row for a passer-by
        return KeyOutcome{};
    const auto wrong = [&]() -> Result<KeyOutcome> {
        const auto counted = s.count_wrong(uid, source, *mark, false, now);
        if (!counted)
            return std::unexpected{counted.error()};
        if (const auto committed = transaction->commit(); !committed)
            return std::unexpected{committed.error()};
        return KeyOutcome{.verdict = counted->verdict == CheckOutcome::Verdict::throttled
                                         ? Verdict::throttled
                                         : Verdict::wrong,
                          .wait = counted->wait,
                          .failures = counted->failures};
    };
    const auto row = std::ranges::find(*rows, blob, &KeyRow::blob);
    if (row == rows->end())
        return wrong();
    const bool is_repeat = base::equal_in_constant_time(row->accepted_attempt, *mark) &&
                           row->last_used <= now.wall &&
                           now.wall - row->last_used <= repeat_lifetime;
    if (const auto taken = s.count_wrong(uid, source, *mark, true, now); !taken)
        return std::unexpected{taken.error()};
    else if (!is_repeat && taken->verdict == CheckOutcome::Verdict::throttled)
        return KeyOutcome{.verdict = Verdict::throttled, .wait = taken->wait};
    const auto key = wire::parse_security_key(row->blob);
    const auto use = key ? verify_key(*key, bytes, signature) : std::unexpected{key.error()};
    if (!use) {
        const int code = use.error().code;
        if (code == EPERM)
            return KeyOutcome{.verdict = Verdict::untouched};
        if (code == EACCES || code == EBADMSG || code == EINVAL)
            return wrong();
        return std::unexpected{use.error()};
    }
    const KeyOutcome accepted{.verdict = Verdict::accepted, .verified = use->verified};
    if (is_repeat)
        return accepted;
    const auto counted = count(s, row->id, use->counter, *mark, now.wall);
    if (!counted)
        return std::unexpected{counted.error()};
    if (!*counted)
        return KeyOutcome{.verdict = Verdict::counted_back};
    if (const auto done = s.throttle.succeeded(uid, source, now.wall); !done)
        return std::unexpected{done.error()};
    if (const auto committed = transaction->commit(); !committed)
        return std::unexpected{committed.error()};
    return accepted;
}

} // namespace vigil::factors
