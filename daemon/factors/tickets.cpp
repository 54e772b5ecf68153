// Tickets: an operator's word that a person may enrol, once.

#include "base/openssl.hpp"
#include "daemon/factors/state.hpp"
#include "wire/answer.hpp"

#include <cerrno>

namespace vigil::factors {

namespace {

constexpr std::size_t group = 5; ///< letters between dashes

/// By a key, so that who can write to the file can put in no ticket of his own.
Result<std::string> digest_of(const Factors::State& s, std::uint32_t uid,
                              std::string_view letters) {
    std::string text = "ticket:" + std::to_string(uid) + ':';
    text += letters;
    auto mark = base::hmac(base::Hash::sha256, s.attempt_key.view(), text);
    base::wipe(text.data(), text.size());
    return mark;
}

/// 5 bits of each byte: 32 letters, all as likely.
Result<base::Secret> draw() {
    auto bytes = base::random_bytes(wire::ticket_letters);
    if (!bytes)
        return std::unexpected{bytes.error()};
    for (char& byte : *bytes)
        byte = wire::ticket_alphabet[static_cast<unsigned char>(byte) &
                                     (wire::ticket_alphabet.size() - 1)];
    return base::Secret{std::move(*bytes)};
}

base::Secret shown(std::string_view letters) {
    std::string text;
    text.reserve(2 * letters.size());
    for (std::size_t at = 0; at < letters.size(); at += group) {
        if (at > 0)
            text += '-';
        text += letters.substr(at, group);
    }
    return base::Secret{std::move(text)};
}

/// One of his that is not over.
Result<bool> has_ticket(Factors::State& s, std::uint32_t uid, WallTime now) {
    const base::Running running{s.find_ticket};
    if (const auto done =
            bound({s.find_ticket.bind(1, std::int64_t{uid}), s.find_ticket.bind(2, stamp(now))});
        !done)
        return std::unexpected{done.error()};
    return s.find_ticket.step();
}

/// The conditional write alone decides.
Result<bool> take(Factors::State& s, std::uint32_t uid, std::string_view mark, WallTime now) {
    const base::Running running{s.take_ticket};
    if (const auto done =
            bound({s.take_ticket.bind(1, std::int64_t{uid}), s.take_ticket.bind_blob(2, mark),
                   s.take_ticket.bind(3, stamp(now))});
        !done)
        return std::unexpected{done.error()};
    if (const auto written = s.take_ticket.run(); !written)
        return std::unexpected{written.error()};
    return s.database.changes() == 1;
}

Result<> check_room(Factors::State& s, std::uint32_t uid) {
    const base::Running running{s.count_tickets};
    if (const auto done = s.count_tickets.bind(1, std::int64_t{uid}); !done)
        return done;
    if (const auto row = s.count_tickets.step(); !row)
        return std::unexpected{row.error()};
    if (s.count_tickets.integer(0) >= static_cast<std::int64_t>(max_tickets))
        return fail(EDQUOT, "there are too many tickets");
    return {};
}

} // namespace

Result<base::Secret> Factors::make_ticket(std::uint32_t uid, const std::string& user,
                                          const std::string& by, Seconds lasts, const Now& now) {
    if (lasts < shortest_ticket || lasts > longest_ticket)
        return fail(EINVAL, "a ticket is good for a minute at least and 30 days at most");
    State& s = *state_;
    if (const auto sound = s.watch.check(); !sound)
        return std::unexpected{sound.error()};
    const auto letters = draw();
    const auto mark = letters ? digest_of(s, uid, letters->view())
                              : Result<std::string>{std::unexpected{letters.error()}};
    if (!mark)
        return std::unexpected{mark.error()};
    auto transaction = base::Transaction::begin(s.database);
    if (!transaction)
        return std::unexpected{transaction.error()};
    if (const auto room = check_room(s, uid); !room)
        return std::unexpected{room.error()};
    const base::Running putting{s.put_ticket};
    if (const auto done =
            bound({s.put_ticket.bind(1, std::int64_t{uid}), s.put_ticket.bind(2, user),
                   s.put_ticket.bind_blob(3, *mark), s.put_ticket.bind(4, stamp(now.wall)),
                   s.put_ticket.bind(5, stamp(now.wall + lasts)), s.put_ticket.bind(6, by)});
        !done)
        return std::unexpected{done.error()};
    if (const auto written = s.put_ticket.run(); !written)
        return std::unexpected{written.error()};
    if (const auto committed = transaction->commit(); !committed)
        return std::unexpected{committed.error()};
    return shown(letters->view());
}

Result<CheckOutcome> Factors::use_ticket(std::uint32_t uid, const Source& source,
                                         std::string_view typed,
                                         const std::array<std::uint8_t, 16>& attempt,
                                         const Now& now) {
    using Verdict = CheckOutcome::Verdict;
    State& s = *state_;
    const auto letters = wire::ticket(typed);
    // What is no ticket by its looks is a wrong one, and as such the same as any other.
    const auto mark = digest_of(s, uid, letters ? letters->view() : std::string_view{});
    std::string attempted{reinterpret_cast<const char*>(attempt.data()), attempt.size()};
    const auto named = base::hmac(base::Hash::sha256, s.attempt_key.view(), attempted + "ticket");
    if (!mark || !named)
        return std::unexpected{mark ? named.error() : mark.error()};
    auto transaction = s.begin();
    if (!transaction)
        return std::unexpected{transaction.error()};
    const auto has = has_ticket(s, uid, now.wall);
    if (!has)
        return std::unexpected{has.error()};
    if (!*has) // nothing to count, and no row for a passer-by
        return CheckOutcome{};
    const auto standing = s.count_wrong(uid, source, *named, true, now);
    if (!standing || standing->verdict == Verdict::throttled)
        return standing;
    const auto taken = take(s, uid, *mark, now.wall);
    if (!taken)
        return std::unexpected{taken.error()};
    const auto outcome = *taken ? standing : s.count_wrong(uid, source, *named, false, now);
    if (!outcome)
        return outcome;
    if (const auto committed = transaction->commit(); !committed)
        return std::unexpected{committed.error()};
    return outcome;
}

Result<std::vector<LapsedTicket>> Factors::lapse_tickets(const Now& now) {
    State& s = *state_;
    const base::Running running{s.lapse};
    if (const auto done = bound({s.watch.check(), s.lapse.bind(1, stamp(now.wall))}); !done)
        return std::unexpected{done.error()};
    std::vector<LapsedTicket> lapsed;
    for (;;) {
        const auto row = s.lapse.step();
        if (!row)
            return std::unexpected{row.error()};
        if (!*row)
            return lapsed;
        lapsed.push_back({.uid = static_cast<std::uint32_t>(s.lapse.integer(0)),
                          .user = std::string{s.lapse.text(1)},
                          .by = std::string{s.lapse.text(2)}});
    }
}

} // namespace vigil::factors
