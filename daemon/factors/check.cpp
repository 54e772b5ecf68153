// The checking of codes. Deny is where each path starts; `accepted` is set after the commit alone.

#include "base/openssl.hpp"
#include "daemon/factors/recovery.hpp"
#include "daemon/factors/state.hpp"

#include <cerrno>

namespace vigil::factors {

namespace {

struct Device {
    std::string id;
    std::string sealed;
    WallTime last_used;
    std::string accepted_attempt;
    std::string kind;
};

bool is_of(const std::string& kind, Factors::Proof proof) {
    return proof == Factors::Proof::recovery ? kind == recovery_kind
                                             : totp_kind_of(kind).has_value();
}

Result<std::vector<Device>> devices_of(base::Statement& statement, std::uint32_t uid,
                                       Factors::Proof proof) {
    const base::Running running{statement};
    if (const auto done = statement.bind(1, std::int64_t{uid}); !done)
        return std::unexpected{done.error()};
    std::vector<Device> devices;
    for (;;) {
        const auto row = statement.step();
        if (!row)
            return std::unexpected{row.error()};
        if (!*row)
            return devices;
        if (std::string kind{statement.text(4)}; is_of(kind, proof))
            devices.push_back({std::string{statement.text(0)}, std::string{statement.blob(1)},
                               WallTime{Microseconds{statement.integer(2)}},
                               std::string{statement.blob(3)}, std::move(kind)});
    }
}

/// Names an attempt together with its answer. Keyed, because an answer may be a password typed at
/// the wrong prompt: a plain digest of that has no place on a disk.
Result<std::string> mark_of(std::string_view attempt_key, std::uint32_t uid, std::string_view code,
                            const std::array<std::uint8_t, 16>& attempt) {
    std::string text{reinterpret_cast<const char*>(attempt.data()), attempt.size()};
    text += std::to_string(uid) + ':';
    text += code;
    auto mark = base::hmac(base::Hash::sha256, attempt_key, text);
    base::wipe(text.data(), text.size());
    return mark;
}

bool repeats_accepted(const Device& device, std::string_view mark, WallTime now) {
    return base::equal_in_constant_time(device.accepted_attempt, mark) && device.last_used <= now &&
           now - device.last_used <= repeat_lifetime;
}

/// True if the code moved this device's last step: the conditional write alone decides.
Result<bool> take_code(Factors::State& s, const Device& device, std::string_view secret,
                       std::string_view code, std::string_view mark, WallTime now) {
    const auto kind = totp_kind_of(device.kind).value_or(TotpKind{});
    const auto step = matching_step(secret, code, totp_step(now), kind);
    if (!step)
        return std::unexpected{step.error()};
    if (!*step)
        return false;
    const base::Running running{s.accept};
    if (const auto done =
            bound({s.accept.bind(1, device.id), s.accept.bind(2, static_cast<std::int64_t>(**step)),
                   s.accept.bind(3, stamp(now)), s.accept.bind_blob(4, mark)});
        !done)
        return std::unexpected{done.error()};
    if (const auto written = s.accept.run(); !written)
        return std::unexpected{written.error()};
    return s.database.changes() == 1;
}

/// True if the code was one of the set, which has it no more from now on.
Result<bool> take_recovery(Factors::State& s, const Device& device, std::uint32_t uid,
                           std::string_view secret, std::string_view code, std::string_view mark,
                           WallTime now) {
    auto set = RecoverySet::parse(secret);
    if (!set)
        return std::unexpected{set.error()};
    const auto used = set->use(code);
    if (!used || !*used)
        return used;
    const base::Secret left{set->bytes()};
    const auto sealed =
        base::seal(s.key.view(), purpose_of(device.id, uid, device.kind), left.view());
    if (!sealed)
        return std::unexpected{sealed.error()};
    const base::Running running{s.use_up};
    if (const auto done = bound({s.use_up.bind(1, device.id), s.use_up.bind_blob(2, *sealed),
                                 s.use_up.bind(3, stamp(now)), s.use_up.bind_blob(4, mark),
                                 s.use_up.bind(5, recovery_name(set->left()))});
        !done)
        return std::unexpected{done.error()};
    if (const auto written = s.use_up.run(); !written)
        return std::unexpected{written.error()};
    return s.database.changes() == 1;
}

} // namespace

Result<CheckOutcome> Factors::check(Proof proof, std::uint32_t uid, const Source& source,
                                    std::string_view code,
                                    const std::array<std::uint8_t, 16>& attempt, const Now& now,
                                    Counted counted) {
    using Verdict = CheckOutcome::Verdict;
    State& s = *state_;
    const auto mark = mark_of(s.attempt_key.view(), uid, code, attempt);
    if (!mark)
        return std::unexpected{mark.error()};
    auto transaction = s.begin();
    if (!transaction)
        return std::unexpected{transaction.error()};
    const auto finish_with = [&](CheckOutcome outcome) -> Result<CheckOutcome> {
        if (const auto committed = transaction->commit(); !committed)
            return std::unexpected{committed.error()};
        return outcome;
    };

    const auto devices = devices_of(s.active_of, uid, proof);
    if (!devices)
        return std::unexpected{devices.error()};
    if (devices->empty()) // nothing to guess, so nothing to count, and no row for a passer-by
        return finish_with({Verdict::wrong});
    for (const auto& device : *devices)
        if (repeats_accepted(device, *mark, now.wall))
            return finish_with({Verdict::accepted});
    Throttle::Standing standing;
    if (counted == Counted::for_user) {
        auto found = s.throttle.standing(uid, source, now.wall);
        if (!found)
            return std::unexpected{found.error()};
        standing = std::move(*found);
        if (base::equal_in_constant_time(standing.wrong_attempt, *mark))
            return finish_with({Verdict::wrong, standing.wait});
        if (standing.wait > Seconds{0})
            return finish_with({Verdict::throttled, standing.wait});
    }

    bool taken = false;
    std::optional<Error> unreadable; // one broken row does not take the person's other devices away
    for (const auto& device : *devices) {
        // Every device is asked, also after one said yes: a code that two of them share counts
        // once.
        const auto secret =
            base::unseal(s.key.view(), purpose_of(device.id, uid, device.kind), device.sealed);
        if (!secret) {
            unreadable = Error{EBADMSG, "the secret of factor " + device.id + " does not open"};
            continue;
        }
        const auto one = proof == Proof::recovery
                             ? take_recovery(s, device, uid, secret->view(), code, *mark, now.wall)
                             : take_code(s, device, secret->view(), code, *mark, now.wall);
        if (!one)
            return std::unexpected{one.error()};
        taken = taken || *one;
    }
    if (taken) {
        if (const auto done = s.throttle.succeeded(uid, source, now.wall); !done)
            return std::unexpected{done.error()};
        return finish_with({Verdict::accepted});
    }
    Seconds wait{0};
    std::uint32_t failures = 0;
    if (counted == Counted::for_user) {
        const auto failed = s.throttle.failed(uid, standing, *mark, now.wall);
        if (!failed)
            return std::unexpected{failed.error()};
        wait = failed->wait;
        failures = failed->failures;
    }
    const auto outcome = finish_with({Verdict::wrong, wait, failures});
    if (unreadable && outcome)
        return std::unexpected{*unreadable};
    return outcome;
}

Result<CheckOutcome> Factors::check_password(std::uint32_t uid, const Source& source, bool is_right,
                                             const std::array<std::uint8_t, 16>& attempt,
                                             const Now& now) {
    State& s = *state_;
    const auto mark = mark_of(s.attempt_key.view(), uid, "password", attempt);
    if (!mark)
        return std::unexpected{mark.error()};
    auto transaction = s.begin();
    if (!transaction)
        return std::unexpected{transaction.error()};
    const auto counted = s.count_wrong(uid, source, *mark, is_right, now);
    if (!counted)
        return counted;
    if (const auto committed = transaction->commit(); !committed)
        return std::unexpected{committed.error()};
    return counted;
}

/// Of what has been judged already: whether it is taken now, and if it is wrong it is counted. The
/// caller's transaction is around it.
Result<CheckOutcome> Factors::State::count_wrong(std::uint32_t uid, const Source& source,
                                                 std::string_view mark, bool is_right,
                                                 const Now& now) {
    using Verdict = CheckOutcome::Verdict;
    const auto standing = throttle.standing(uid, source, now.wall);
    if (!standing)
        return std::unexpected{standing.error()};
    if (!is_right && base::equal_in_constant_time(standing->wrong_attempt, mark))
        return CheckOutcome{Verdict::wrong, standing->wait};
    if (standing->wait > Seconds{0})
        return CheckOutcome{Verdict::throttled, standing->wait};
    if (is_right)
        return CheckOutcome{Verdict::accepted};
    const auto failed = throttle.failed(uid, *standing, mark, now.wall);
    if (!failed)
        return std::unexpected{failed.error()};
    return CheckOutcome{Verdict::wrong, failed->wait, failed->failures};
}

Result<Seconds> Factors::wait_for(std::uint32_t uid, const Source& source, const Now& now) {
    if (const auto sound = state_->watch.check(); !sound)
        return std::unexpected{sound.error()};
    const auto standing = state_->throttle.standing(uid, source, now.wall);
    if (!standing)
        return std::unexpected{standing.error()};
    return standing->wait;
}

Result<std::uint32_t> Factors::wrong_in_a_row(std::uint32_t uid) {
    if (const auto sound = state_->watch.check(); !sound)
        return std::unexpected{sound.error()};
    return state_->throttle.in_a_row(uid);
}

} // namespace vigil::factors
