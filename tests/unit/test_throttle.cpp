// daemon/factors/throttle: who waits for whom, how long, and that what is kept of it is bounded.

#include "daemon/factors/database.hpp"
#include "tests/unit/factors_help.hpp"

#include <csignal>
#include <deque>
#include <optional>
#include <random>

#include <sys/resource.h>

using namespace vigil;
using namespace vigil::test;
namespace fs = std::filesystem;

namespace {

constexpr Seconds day{86400};
constexpr WallTime start{Seconds{1'700'000'000}};

Address ipv4(std::uint32_t number) {
    Address address{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    for (std::size_t i = 0; i < 4; ++i)
        address[12 + i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
    return address;
}

Source source(std::uint32_t number) {
    return Source::from(ipv4(number));
}

/// The tables, and what asks them as Factors does. One transaction, for speed; reopen() ends it.
class Store {
public:
    Store() { open(); }

    void reopen() {
        CHECK_OK(transaction_->commit());
        transaction_.reset();
        throttle_.reset();
        database_.reset();
        open();
    }

    Throttle& throttle() { return *throttle_; }

    Seconds wait(std::uint32_t uid, const Source& from, WallTime now) {
        const auto standing = throttle_->standing(uid, from, now);
        CHECK_OK(standing);
        return standing->wait;
    }

    /// Whether a wrong code was looked at.
    bool guess(std::uint32_t uid, const Source& from, WallTime now) {
        const auto standing = throttle_->standing(uid, from, now);
        CHECK_OK(standing);
        if (standing->wait > Seconds{0})
            return false;
        CHECK_OK(throttle_->failed(uid, *standing, "mark", now));
        return true;
    }

    void prove(std::uint32_t uid, const Source& from, WallTime now) {
        CHECK_OK(throttle_->succeeded(uid, from, now));
    }

    void run(const std::string& text) { CHECK_OK(database_->exec(text.c_str())); }

    std::int64_t number(const std::string& question) {
        auto statement = database_->prepare(question);
        CHECK_OK(statement);
        ck_assert(statement->step().value());
        return statement->integer(0);
    }

private:
    void open() {
        auto database = open_database(path, a_key().view());
        CHECK_OK(database);
        database_.emplace(std::move(*database));
        auto throttle = Throttle::prepare(*database_);
        CHECK_OK(throttle);
        throttle_.emplace(std::move(*throttle));
        auto begun = base::Transaction::begin(*database_);
        CHECK_OK(begun);
        transaction_.emplace(std::move(*begun));
    }

    std::optional<base::Database> database_;
    std::optional<Throttle> throttle_;
    std::optional<base::Transaction> transaction_;
};

/// What somebody tries in a day who never waits longer than he has to: the most that he can.
std::size_t tries_a_day(unsigned free) {
    std::size_t tries = 0;
    for (Seconds at{0}; at < day; at += delay_after(static_cast<std::int64_t>(tries), free))
        ++tries;
    return tries;
}

/// Tries in the last 24 h.
class Window {
public:
    std::size_t add(WallTime now) {
        tries_.push_back(now);
        while (now - tries_.front() >= day)
            tries_.pop_front();
        return tries_.size();
    }

private:
    std::deque<WallTime> tries_;
};

START_TEST(a_place_is_an_ipv4_address_or_an_ipv6_network) {
    ck_assert(source(1).place() != source(2).place());
    Address one{0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8};
    Address same = one, other = one;
    same[8] = 99;
    other[7] = 99;
    ck_assert(Source::from(one).place() == Source::from(same).place());
    ck_assert(Source::from(one).place() != Source::from(other).place());
    ck_assert(Source::local().is_own() && Source::apart().is_own());
    ck_assert(Source::local().place() != Source::apart().place());
    for (const auto& one_of : {Source::unknown(), source(1)})
        ck_assert(!one_of.is_own());
    ck_assert(Source::unknown().place().empty() && !Source::unknown().has_address());
}
END_TEST

START_TEST(waiting_begins_with_the_fifth_and_doubles) {
    const std::array<int, 12> waits{0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900};
    for (std::size_t i = 0; i < waits.size(); ++i)
        ck_assert_int_eq(delay_after(static_cast<std::int64_t>(i)).count(), waits[i]);
    ck_assert_int_eq(delay_after(INT64_MAX).count(), 900);
    ck_assert_int_eq(delay_after(19, free_failures_of_source).count(), 0);
    ck_assert_int_eq(delay_after(20, free_failures_of_source).count(), 30);
    // The bounds that docs/ARCHITECTURE.md states.
    ck_assert_uint_eq(tries_a_day(free_failures), 104);
    ck_assert_uint_eq(tries_a_day(free_failures_of_source), 119);
}
END_TEST

START_TEST(a_count_is_drawn_in_when_the_clock_goes_back_and_forgotten_in_time) {
    const Count five{.failures = 5, .last = start, .not_before = start + first_delay};
    ck_assert(settled(five, free_failures, start) == five);
    const auto back = settled(five, free_failures, start - 3650 * day);
    ck_assert_int_eq(wait_of(back, start - 3650 * day).count(), 30);
    ck_assert_int_eq(back.failures, 5);
    ck_assert(settled(five, free_failures, start + failures_memory - Seconds{1}) == five);
    ck_assert(settled(five, free_failures, start + failures_memory) == Count{});
}
END_TEST

START_TEST(strangers_slow_down_strangers_and_nobody_at_a_place_of_his) {
    Store store;
    const Source home = source(1);
    store.prove(alice, home, start);
    for (std::uint32_t i = 0; i < free_failures; ++i)
        ck_assert(store.guess(alice, source(100 + i), start));
    ck_assert_int_eq(store.wait(alice, source(999), start).count(), 30);
    ck_assert_int_eq(store.wait(alice, Source::unknown(), start).count(), 30);
    for (const auto& own : {home, Source::local(), Source::apart()})
        ck_assert_int_eq(store.wait(alice, own, start).count(), 0);
    ck_assert_int_eq(store.wait(bob, source(999), start).count(), 0);
    // A right code elsewhere gives the strangers no tries, and makes one more place.
    store.prove(alice, source(2), start);
    ck_assert_int_eq(store.wait(alice, source(2), start).count(), 0);
    ck_assert_int_eq(store.wait(alice, source(999), start).count(), 30);
    // Her own mistakes at a place of hers count there.
    for (std::uint32_t i = 0; i < free_failures; ++i)
        ck_assert(store.guess(alice, home, start));
    ck_assert_int_eq(store.wait(alice, home, start).count(), 30);
    ck_assert_int_eq(store.wait(alice, source(2), start).count(), 0);
    store.reopen();
    ck_assert_int_eq(store.wait(alice, home, start).count(), 30);
    store.prove(alice, home, start + first_delay);
    ck_assert_int_eq(store.wait(alice, home, start + first_delay).count(), 0);
    // After a month the place is as any other.
    ck_assert_int_eq(store.number("SELECT count(*) FROM throttle WHERE failures = 0"), 2);
    const WallTime later = start + place_lifetime;
    for (std::uint32_t i = 0; i < free_failures; ++i)
        ck_assert(store.guess(alice, source(100 + i), later));
    ck_assert_int_eq(store.wait(alice, source(2), later).count(), 30);
    ck_assert_int_eq(store.wait(alice, home, later).count(), 0);
}
END_TEST

START_TEST(one_address_waits_over_all_persons) {
    Store store;
    store.prove(alice, source(1), start);
    for (std::uint32_t i = 0; i < free_failures_of_source; ++i)
        ck_assert(store.guess(2000 + i, source(1), start));
    ck_assert_int_eq(store.wait(9999, source(1), start).count(), 30);
    ck_assert(!store.guess(9999, source(1), start));
    ck_assert_int_eq(store.wait(9999, source(2), start).count(), 0);
    // Who is known there does not wait for the others behind the same address, nor they for him.
    ck_assert_int_eq(store.wait(alice, source(1), start).count(), 0);
    const auto before = store.number("SELECT failures FROM source");
    ck_assert(store.guess(alice, source(1), start));
    ck_assert_int_eq(store.number("SELECT failures FROM source"), before);
    // A name that is no address has no count of its own: it could be anybody's.
    for (std::uint32_t i = 0; i < 2 * free_failures_of_source; ++i)
        ck_assert(store.guess(3000 + i, Source::unknown(), start));
}
END_TEST

START_TEST(an_alert_counts_a_person_from_everywhere) {
    Store store;
    auto& throttle = store.throttle();
    std::uint32_t told = 0;
    for (std::uint32_t i = 0; i < 4; ++i) {
        const auto standing = throttle.standing(alice, i % 2 ? source(i) : here, start);
        told = throttle.failed(alice, *standing, "mark", start)->failures;
    }
    ck_assert_uint_eq(told, 4);
    CHECK_OK(throttle.noted(alice, start)); // at an enrolment
    ck_assert_uint_eq(*throttle.in_a_row(alice), 5);
    ck_assert_uint_eq(*throttle.in_a_row(bob), 0);
    store.prove(alice, here, start);
    ck_assert_uint_eq(*throttle.in_a_row(alice), 0);
}
END_TEST

START_TEST(a_person_at_a_place_of_his_never_waits_because_of_others) {
    for (unsigned seed = 0; seed < 8; ++seed) {
        remove_folder();
        fs::create_directory(folder);
        Store store;
        std::mt19937 random{seed};
        const auto below = [&](unsigned n) { return static_cast<std::uint32_t>(random() % n); };
        const Source home = source(1);
        WallTime now = start;
        store.prove(alice, home, now);
        for (int i = 0; i < 1500; ++i) {
            switch (below(20)) {
            case 0: // the clock is set, by up to ten days either way
                now = start + Seconds{below(20 * 86400)} - 10 * day;
                break;
            case 1:
                store.reopen();
                break;
            case 2:
            case 3:
            case 4: // others at her place, who are known there or not
                store.guess(bob + below(50), home, now);
                break;
            case 5:
            case 6:
                store.prove(bob + below(50), below(2) ? home : source(below(40)), now);
                break;
            default:
                store.guess(alice, below(5) ? source(2 + below(3000)) : Source::unknown(), now);
                now += Seconds{below(60)};
            }
            for (const auto& own : {home, here, Source::apart()})
                ck_assert_int_eq(store.wait(alice, own, now).count(), 0);
        }
        ck_assert(store.number("SELECT failures FROM throttle WHERE uid = 1000 AND"
                               " lane = 'strangers'") > 0);
    }
}
END_TEST

START_TEST(a_guesser_has_so_many_tries_a_day_however_many_places_he_comes_from) {
    for (unsigned seed = 0; seed < 12; ++seed) {
        remove_folder();
        fs::create_directory(folder);
        Store store;
        std::mt19937 random{seed};
        const auto below = [&](unsigned n) { return static_cast<std::uint32_t>(random() % n); };
        const unsigned sources = seed % 3 == 0 ? 1 : seed % 3 == 1 ? 20 : 5000;
        const unsigned patience = 1 + seed; // the first ones never pause
        WallTime now = start;
        Window window;
        std::size_t most = 0;
        while (now < start + 5 * day) {
            // Meanwhile she logs in, from home and from places she was never at.
            if (below(20) == 0)
                store.prove(alice, source(100'000 + below(50)), now);
            if (below(50) == 0)
                store.reopen();
            const Source from = source(1000 + below(sources));
            if (store.guess(alice, from, now))
                most = std::max(most, window.add(now));
            else
                now += store.wait(alice, from, now);
            if (below(40) < patience - 1)
                now += Seconds{below(8 * 3600)};
        }
        ck_assert_msg(most <= tries_a_day(free_failures), "seed %u: %zu tries", seed, most);
        ck_assert(seed != 0 || most == tries_a_day(free_failures));
    }
}
END_TEST

START_TEST(an_address_has_so_many_tries_a_day_over_all_persons) {
    Store store;
    std::mt19937 random{1};
    Window window;
    std::size_t most = 0;
    std::uint32_t person = 0;
    for (WallTime now = start; now < start + 3 * day;) {
        if (store.guess(5000 + ++person, source(1), now))
            most = std::max(most, window.add(now));
        else
            now += store.wait(5000 + person, source(1), now);
        if (random() % 60 == 0)
            now += Seconds{random() % (7 * 3600)};
    }
    ck_assert_uint_le(most, tries_a_day(free_failures_of_source));
}
END_TEST

START_TEST(a_flood_of_addresses_neither_grows_the_file_nor_ends_a_wait) {
    Store store;
    for (std::uint32_t i = 0; i < free_failures_of_source; ++i)
        ck_assert(store.guess(2000 + i, source(1), start));
    for (std::uint32_t i = 0; i < 3 * max_sources; ++i)
        ck_assert(store.guess(100'000 + i, source(1000 + i), start));
    ck_assert_int_eq(store.number("SELECT count(*) FROM source"), max_sources);
    ck_assert_int_eq(store.wait(9999, source(1), start).count(), 30);
    // What has to wait no more is kept longer than what never had to.
    const WallTime later = start + Seconds{60};
    for (std::uint32_t i = 0; i < 100; ++i)
        ck_assert(store.guess(200'000 + i, source(50'000 + i), later));
    ck_assert_int_eq(store.number("SELECT count(*) FROM source WHERE failures = 20"), 1);
}
END_TEST

START_TEST(where_all_addresses_wait_those_without_room_have_one_count) {
    Store store;
    const auto until = (start + longest_delay).time_since_epoch().count();
    store.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
              std::to_string(max_sources) + ") INSERT INTO source SELECT 'from ' || i, 40, " +
              std::to_string(start.time_since_epoch().count()) + ", " + std::to_string(until) +
              " FROM n");
    for (std::uint32_t i = 0; i < free_failures_of_source; ++i)
        ck_assert(store.guess(2000 + i, source(i), start));
    ck_assert_int_eq(store.wait(9999, source(77), start).count(), 30);
    ck_assert_int_eq(store.number("SELECT count(*) FROM source"), max_sources + 1);
    // A clock that was years ahead keeps nobody out: there is room when the longest wait is over.
    const WallTime back = start - 3650 * day + first_delay;
    ck_assert_int_eq(store.wait(9000, source(78), start - 3650 * day).count(), 30);
    ck_assert(store.guess(9000, source(78), back));
    ck_assert_int_eq(
        store.number("SELECT count(*) FROM source WHERE not_before > " +
                     std::to_string((back + longest_delay).time_since_epoch().count())),
        0);
    ck_assert(store.guess(9001, source(79), back + longest_delay));
    ck_assert_int_eq(store.number("SELECT count(*) FROM source WHERE failures = 1"), 1);
}
END_TEST

START_TEST(the_place_of_longest_ago_makes_room) {
    Store store;
    for (std::uint32_t i = 0; i < max_places_per_user; ++i)
        store.prove(alice, source(i), start + Seconds{i});
    const WallTime now = start + Seconds{100};
    for (std::uint32_t i = 0; i < free_failures; ++i)
        ck_assert(store.guess(alice, source(0), now)); // one that waits stays
    store.prove(alice, source(500), now);
    ck_assert_int_eq(store.number("SELECT count(*) FROM throttle WHERE proved <> 0"),
                     max_places_per_user);
    for (std::uint32_t i = 0; i < 2 * free_failures; ++i)
        store.guess(alice, source(900), now);
    ck_assert_int_eq(store.wait(alice, source(0), now).count(), 30);
    ck_assert_int_eq(store.wait(alice, source(1), now).count(), 30); // a stranger's again
    for (std::uint32_t i : {2U, 15U, 500U})
        ck_assert_int_eq(store.wait(alice, source(i), now).count(), 0);
}
END_TEST

START_TEST(of_who_has_no_factor_nothing_but_what_was_wrong_lately_is_kept) {
    Store store;
    store.prove(alice, source(1), start);
    for (std::uint32_t i = 0; i < free_failures; ++i)
        ck_assert(store.guess(bob, here, start));
    CHECK_OK(store.throttle().forget_unknown(start));
    ck_assert_int_eq(store.number("SELECT count(*) FROM throttle WHERE uid = 1000"), 0);
    ck_assert_int_eq(store.wait(bob, here, start).count(), 30);
    // A wait that is over does not end the count: the next password that is wrong costs more.
    CHECK_OK(store.throttle().forget_unknown(start + first_delay));
    ck_assert_int_eq(store.number("SELECT max(failures) FROM throttle"), free_failures);
    CHECK_OK(store.throttle().forget_unknown(start + failures_memory));
    ck_assert_int_eq(store.number("SELECT count(*) FROM throttle"), 0);
}
END_TEST

// ---- a database of an older vigild

/// Version 1 as it was, with a device of alice's, and five wrong codes of hers.
void make_version_1(std::string& secret) {
    {
        auto factors = open_factors();
        secret = device(factors, alice, at(0)).secret;
    }
    sql("DROP TABLE throttle; DROP TABLE source;"
        "CREATE TABLE throttle (uid INTEGER PRIMARY KEY, failures INTEGER NOT NULL,"
        " not_before INTEGER NOT NULL, wrong_attempt BLOB NOT NULL) STRICT;"
        "INSERT INTO throttle VALUES (1000, 5, 1700000090000000, x'01');"
        "DROP TRIGGER factor_added; DROP TRIGGER factor_proved; DROP TABLE person;"
        "DROP TABLE ticket;"
        "PRAGMA user_version = 1");
}

START_TEST(a_database_of_version_1_is_brought_forward) {
    std::string secret;
    make_version_1(secret);
    CHECK_ERROR(Factors::open(path, a_key('x'), "host"), EBADMSG);
    auto factors = open_factors();
    for (const auto& from : {here, Source::apart(), Source::unknown(), source(1)})
        ck_assert_int_eq(factors.wait_for(alice, from, at(60))->count(), 30);
    ck_assert_int_eq(factors.wait_for(bob, here, at(60))->count(), 0);
    ck_assert_uint_eq(*factors.wrong_in_a_row(alice), 5);
    const auto outcome =
        factors.check_totp(alice, here, code_at(secret, at(90)), attempt(), at(90));
    ck_assert(outcome && outcome->verdict == Verdict::accepted);
    CHECK_OK(open_factors().list(alice, at(90)));
}
END_TEST

START_TEST(a_full_disk_leaves_version_1_as_it_was) {
    std::string secret;
    make_version_1(secret);
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{4096, RLIM_INFINITY}, large{RLIM_INFINITY, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    ck_assert(!Factors::open(path, a_key(), "host"));
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &large), 0);
    auto factors = open_factors();
    ck_assert_int_eq(factors.wait_for(alice, here, at(60))->count(), 30);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "throttle",
        {a_place_is_an_ipv4_address_or_an_ipv6_network, waiting_begins_with_the_fifth_and_doubles,
         a_count_is_drawn_in_when_the_clock_goes_back_and_forgotten_in_time,
         strangers_slow_down_strangers_and_nobody_at_a_place_of_his,
         one_address_waits_over_all_persons, an_alert_counts_a_person_from_everywhere,
         a_person_at_a_place_of_his_never_waits_because_of_others,
         a_guesser_has_so_many_tries_a_day_however_many_places_he_comes_from,
         an_address_has_so_many_tries_a_day_over_all_persons,
         a_flood_of_addresses_neither_grows_the_file_nor_ends_a_wait,
         where_all_addresses_wait_those_without_room_have_one_count,
         the_place_of_longest_ago_makes_room,
         of_who_has_no_factor_nothing_but_what_was_wrong_lately_is_kept,
         a_database_of_version_1_is_brought_forward, a_full_disk_leaves_version_1_as_it_was},
        {.before = make_folder, .after = remove_folder, .seconds = 60});
}
