// daemon/factors: security keys are enrolled by what they sign, counted, and cannot be swapped in
// the file.

#include "daemon/factors/nonces.hpp"
#include "tests/unit/factors_help.hpp"
#include "tests/unit/soft_key.hpp"
#include "wire/challenge.hpp"

#include <cerrno>

#include <sys/wait.h>
#include <unistd.h>

using namespace vigil;
using namespace vigil::factors;
using namespace vigil::test;

namespace {

using Outcome = KeyOutcome::Verdict;

std::string challenge_of(const wire::KeyEnrollment& enrollment) {
    return bytes_of(wire::Challenge{.purpose = wire::Challenge::Purpose::enroll,
                                    .host = enrollment.host,
                                    .user = enrollment.user,
                                    .nonce = enrollment.nonce});
}

wire::KeyEnrollment begun(Factors& factors, std::uint32_t uid, const Now& now,
                          const std::string& name = "") {
    const auto enrollment = factors.enroll_key(uid, "alice", name, now);
    CHECK_OK(enrollment);
    return *enrollment;
}

/// Its id; the key has signed `counter` times.
std::string enrolled(Factors& factors, const SoftKey& key, std::uint32_t uid = alice,
                     std::uint32_t counter = 1, const std::string& name = "") {
    const auto enrollment = begun(factors, uid, at(0), name);
    CHECK_OK(factors.finish_key(enrollment.factor_id, uid, key.blob(),
                                key.sign(challenge_of(enrollment), counter), at(0)));
    return enrollment.factor_id;
}

Outcome used(Factors& factors, const SoftKey& key, std::uint32_t counter, std::uint32_t uid = alice,
             const Now& now = at(10)) {
    const auto outcome = factors.check_key(uid, here, key.blob(), "bytes",
                                           key.sign("bytes", counter), attempt(), now);
    CHECK_OK(outcome);
    return outcome->verdict;
}

START_TEST(a_key_that_signs_its_challenge_counts) {
    auto factors = open_factors();
    const SoftKey key;
    const auto enrollment = begun(factors, alice, at(0));
    ck_assert(!factors.active(alice)->key && factors.keys_of(alice)->empty());
    ck_assert(!factors.list(alice, at(0))->front().active);
    const auto signature = key.sign(challenge_of(enrollment), 7);
    CHECK_OK(factors.finish_key(enrollment.factor_id, alice, key.blob(), signature, at(1)));
    ck_assert(factors.active(alice)->key && !factors.active(alice)->totp);
    ck_assert(factors.keys_of(alice).value() == std::vector{key.blob()});
    const auto listed = factors.list(alice, at(1)).value().front();
    CHECK_TEXT(listed.kind, "key");
    CHECK_TEXT(listed.name, wire::fingerprint_of(key.blob()));
    ck_assert(listed.active && listed.uid == alice);
    // What it has signed enrols nothing more.
    CHECK_ERROR(factors.finish_key(enrollment.factor_id, alice, key.blob(), signature, at(2)),
                ENOENT);
    ck_assert(used(factors, key, 7) == Outcome::counted_back);
    ck_assert(used(factors, key, 8) == Outcome::accepted);
    auto again = open_factors();
    ck_assert(used(again, key, 8) == Outcome::counted_back);
    ck_assert(used(again, key, 9) == Outcome::accepted);
    CHECK_OK(again.forget(enrollment.factor_id));
    ck_assert(used(again, key, 10) == Outcome::wrong);
    ck_assert(!again.active(alice)->key);
}
END_TEST

START_TEST(a_name_that_was_given_stays) {
    auto factors = open_factors();
    enrolled(factors, SoftKey{}, alice, 1, "blue one");
    CHECK_TEXT(factors.list(alice, at(1)).value().front().name, "blue one");
    CHECK_ERROR(factors.enroll_key(alice, "alice", std::string(65, 'n'), at(0)), EINVAL);
}
END_TEST

START_TEST(an_enrolment_needs_its_own_challenge_signed_with_a_touch) {
    auto factors = open_factors();
    const SoftKey key;
    const auto other = begun(factors, bob, at(0));
    const auto enrollment = begun(factors, alice, at(0));
    const auto id = enrollment.factor_id;
    const auto right = key.sign(challenge_of(enrollment), 1);
    const auto finish = [&](const std::string& signature, const Now& now = at(1)) {
        return factors.finish_key(id, alice, key.blob(), signature, now);
    };
    CHECK_ERROR(finish(key.sign(challenge_of(enrollment), 1, 0)), EPERM);
    CHECK_ERROR(finish(key.sign(challenge_of(enrollment), 1, 4)), EPERM);
    CHECK_ERROR(finish(key.sign(challenge_of(other), 1)), EACCES);
    CHECK_ERROR(finish(SoftKey{}.sign(challenge_of(enrollment), 1)), EACCES);
    CHECK_ERROR(finish("no signature"), EBADMSG);
    CHECK_ERROR(factors.finish_key(id, bob, key.blob(), right, at(1)), ENOENT);
    CHECK_ERROR(factors.finish_key("nothing", alice, key.blob(), right, at(1)), ENOENT);
    CHECK_ERROR(factors.finish_key(id, alice, "no key", right, at(1)), EINVAL);
    CHECK_ERROR(finish(right, at(pending_lifetime.count() + 1)), ENOENT);
    CHECK_ERROR(finish(right, at(-1)), ENOENT);
    ck_assert(!factors.active(alice)->key);
    CHECK_OK(finish(right));
    // The code of an authenticator finishes no key, and the other way round.
    const auto pending = begun(factors, alice, at(2));
    CHECK_ERROR(factors.finish(pending.factor_id, alice, "123456", at(2)), ENOENT);
    const auto phone = factors.enroll_totp(alice, "alice", "phone", {}, at(3));
    CHECK_OK(phone);
    CHECK_ERROR(factors.finish_key(phone->factor_id, alice, key.blob(), right, at(3)), ENOENT);
}
END_TEST

START_TEST(a_plain_key_is_none) {
    auto factors = open_factors();
    const auto enrollment = begun(factors, alice, at(0));
    std::string plain;
    base::append_ssh_string(plain, "ssh-ed25519");
    base::append_ssh_string(plain, std::string(32, 'p'));
    CHECK_ERROR(factors.finish_key(enrollment.factor_id, alice, plain, "signature", at(0)),
                ENOTSUP);
}
END_TEST

START_TEST(a_key_is_enrolled_once_a_person) {
    auto factors = open_factors();
    const SoftKey key;
    enrolled(factors, key);
    const auto again = begun(factors, alice, at(0));
    CHECK_ERROR(factors.finish_key(again.factor_id, alice, key.blob(),
                                   key.sign(challenge_of(again), 2), at(0)),
                EEXIST);
    enrolled(factors, key, bob, 2);
    // Each row counts for itself.
    ck_assert(used(factors, key, 3, bob) == Outcome::accepted);
    ck_assert(used(factors, key, 3, alice) == Outcome::accepted);
}
END_TEST

START_TEST(keys_are_among_the_factors_that_are_bounded) {
    auto factors = open_factors();
    for (std::size_t i = 0; i < max_factors_per_user; ++i)
        enrolled(factors, SoftKey{});
    CHECK_ERROR(factors.enroll_key(alice, "alice", "", at(0)), EDQUOT);
    for (int i = 0; i < 100; ++i) // one that is pending makes room for the next
        begun(factors, bob, at(i));
    ck_assert_uint_eq(factors.list(bob, at(99))->size(), 1);
}
END_TEST

START_TEST(what_is_signed_has_to_be_this_and_touched) {
    auto factors = open_factors();
    const SoftKey key;
    enrolled(factors, key);
    const auto outcome = [&](const std::string& blob, const std::string& signature,
                             std::uint32_t uid = alice) {
        const auto checked =
            factors.check_key(uid, here, blob, "bytes", signature, attempt(), at(10));
        CHECK_OK(checked);
        return *checked;
    };
    ck_assert(outcome(key.blob(), key.sign("other", 2)).verdict == Outcome::wrong);
    ck_assert(outcome(key.blob(), "").verdict == Outcome::wrong);
    ck_assert(outcome("", key.sign("bytes", 2)).verdict == Outcome::wrong);
    ck_assert(outcome(key.blob(), key.sign("bytes", 2), bob).verdict == Outcome::wrong);
    const SoftKey another;
    ck_assert(outcome(another.blob(), another.sign("bytes", 2)).verdict == Outcome::wrong);
    ck_assert(outcome(key.blob(), key.sign("bytes", 2, 4)).verdict == Outcome::untouched);
    // None of these has counted.
    const auto plain = outcome(key.blob(), key.sign("bytes", 2));
    ck_assert(plain.verdict == Outcome::accepted && !plain.verified);
    const auto verified = outcome(key.blob(), key.sign("bytes", 3, 5));
    ck_assert(verified.verdict == Outcome::accepted && verified.verified);
}
END_TEST

START_TEST(wrong_signatures_wait_as_wrong_codes_do) {
    auto factors = open_factors();
    const SoftKey key;
    enrolled(factors, key);
    const auto phone = device(factors, alice, at(0));
    const auto outcome = [&](const char* bytes, std::uint32_t counter, std::int64_t when) {
        const auto checked = factors.check_key(alice, here, key.blob(), "bytes",
                                               key.sign(bytes, counter), attempt(), at(when));
        CHECK_OK(checked);
        return *checked;
    };
    for (unsigned i = 1; i <= free_failures; ++i)
        ck_assert_uint_eq(outcome("other", 2, 100).failures, i);
    const auto refused = outcome("bytes", 3, 100);
    ck_assert(refused.verdict == Outcome::throttled && refused.wait > Seconds{0});
    ck_assert(verdict(factors, alice, code_at(phone.secret, at(100)), at(100)) ==
              Verdict::throttled);
    // What was refused so was not used up, and what is right ends the count.
    ck_assert(outcome("bytes", 3, 200).verdict == Outcome::accepted);
    ck_assert_uint_eq(outcome("other", 4, 200).failures, 1);
    // Neither of these is a guess.
    for (unsigned i = 0; i < 2 * free_failures; ++i)
        ck_assert(outcome("bytes", 2, 200).verdict == Outcome::counted_back);
    ck_assert_uint_eq(outcome("other", 4, 200).failures, 2);
}
END_TEST

START_TEST(a_key_that_does_not_count_is_taken_each_time) {
    auto factors = open_factors();
    const SoftKey key;
    enrolled(factors, key, alice, 0);
    ck_assert(used(factors, key, 0) == Outcome::accepted);
    ck_assert(used(factors, key, 0) == Outcome::accepted);
    // Once it has counted, it does.
    ck_assert(used(factors, key, 5) == Outcome::accepted);
    ck_assert(used(factors, key, 0) == Outcome::counted_back);
    ck_assert(used(factors, key, 5) == Outcome::counted_back);
    ck_assert(used(factors, key, UINT32_MAX) == Outcome::accepted);
}
END_TEST

START_TEST(an_attempt_repeated_has_the_same_outcome) {
    auto factors = open_factors();
    const SoftKey key;
    enrolled(factors, key);
    const auto same = attempt();
    const auto signature = key.sign("bytes", 2);
    const auto again = [&](const std::string& bytes, std::array<std::uint8_t, 16> by,
                           const Now& now) {
        return factors.check_key(alice, here, key.blob(), bytes, signature, by, now)->verdict;
    };
    ck_assert(again("bytes", same, at(10)) == Outcome::accepted);
    ck_assert(again("bytes", same, at(11)) == Outcome::accepted);
    ck_assert(again("bytes", attempt(), at(11)) == Outcome::counted_back);
    ck_assert(again("other", same, at(11)) == Outcome::wrong);
    ck_assert(again("bytes", same, at(200)) == Outcome::counted_back);
    ck_assert(again("bytes", same, at(-200)) == Outcome::counted_back);
}
END_TEST

START_TEST(last_used_is_written) {
    auto factors = open_factors();
    const SoftKey key;
    enrolled(factors, key);
    used(factors, key, 2, alice, at(60));
    ck_assert_uint_eq(factors.list(alice, at(61))->front().last_used, 1'700'000'060'000'000);
    used(factors, key, 2, alice, at(90));
    ck_assert_uint_eq(factors.list(alice, at(91))->front().last_used, 1'700'000'060'000'000);
}
END_TEST

START_TEST(no_key_can_be_put_into_the_file) {
    const SoftKey mine;
    const SoftKey hers;
    {
        auto factors = open_factors();
        enrolled(factors, hers, alice);
        enrolled(factors, mine, bob);
    }
    // Bob's row as alice's, bob's key in alice's row, and both after one another.
    sql("UPDATE factor SET sealed = (SELECT sealed FROM factor WHERE uid = 1001) WHERE uid = 1000");
    {
        auto factors = open_factors();
        ck_assert(factors.keys_of(alice)->empty());
        ck_assert(used(factors, mine, 2, alice) == Outcome::wrong);
        ck_assert(used(factors, mine, 2, bob) == Outcome::accepted);
    }
    sql("UPDATE factor SET uid = 1000 WHERE uid = 1001");
    auto factors = open_factors();
    ck_assert(used(factors, mine, 3, alice) == Outcome::wrong);
}
END_TEST

START_TEST(a_new_key_of_the_database_leaves_the_keys_and_what_is_pending) {
    const SoftKey key;
    const SoftKey another;
    auto factors = open_factors();
    enrolled(factors, key);
    const auto pending = begun(factors, bob, at(0));
    const auto done = factors.rekey(a_key('n'), "vigil.key.2");
    CHECK_OK(done);
    ck_assert(done->sealed == 2 && done->broken == 0);
    ck_assert(used(factors, key, 2) == Outcome::accepted);
    auto again = Factors::open(path, a_key('n'), "host");
    CHECK_OK(again);
    ck_assert(used(*again, key, 2) == Outcome::counted_back);
    ck_assert(used(*again, key, 3) == Outcome::accepted);
    CHECK_OK(again->finish_key(pending.factor_id, bob, another.blob(),
                               another.sign(challenge_of(pending), 1), at(1)));
}
END_TEST

START_TEST(a_pending_row_called_active_is_no_key) {
    const SoftKey key;
    {
        auto factors = open_factors();
        begun(factors, alice, at(0));
    }
    sql("UPDATE factor SET active = 1");
    auto factors = open_factors();
    ck_assert(factors.keys_of(alice)->empty());
    ck_assert(used(factors, key, 1) == Outcome::wrong);
}
END_TEST

START_TEST(one_row_that_does_not_open_leaves_the_others) {
    const SoftKey key;
    {
        auto factors = open_factors();
        const auto broken = enrolled(factors, SoftKey{});
        enrolled(factors, key);
        sql("UPDATE factor SET sealed = x'00' WHERE id = '" + broken + "'");
    }
    auto factors = open_factors();
    ck_assert_uint_eq(factors.keys_of(alice)->size(), 1);
    ck_assert(used(factors, key, 2) == Outcome::accepted);
}
END_TEST

START_TEST(of_many_uses_of_one_signature_at_once_one_counts) {
    const SoftKey key;
    {
        auto factors = open_factors();
        enrolled(factors, key);
    }
    const auto signature = key.sign("bytes", 2);
    std::array<pid_t, 50> children;
    for (std::size_t i = 0; i < children.size(); ++i) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) {
            std::array<std::uint8_t, 16> own{};
            own[0] = static_cast<std::uint8_t>(i);
            auto factors = Factors::open(path, a_key(), "host");
            const auto outcome = factors ? factors->check_key(alice, here, key.blob(), "bytes",
                                                              signature, own, at(1))
                                         : std::unexpected{factors.error()};
            _exit(outcome ? static_cast<int>(outcome->verdict)
                          : (outcome.error().code == EBUSY ? 10 : 11));
        }
    }
    std::array<int, 12> count{};
    for (const pid_t child : children) {
        int status = 0;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 12);
        ++count[static_cast<std::size_t>(WEXITSTATUS(status))];
    }
    ck_assert_int_eq(count[static_cast<std::size_t>(Outcome::accepted)], 1);
    ck_assert_int_eq(count[static_cast<std::size_t>(Outcome::wrong)], 0);
    ck_assert_int_eq(count[11], 0);
}
END_TEST

START_TEST(a_nonce_is_taken_once_and_soon) {
    Nonces<std::uint32_t> nonces;
    const auto moment = [](std::int64_t seconds) { return BootTime{Seconds{seconds}}; };
    Nonce one{};
    Nonce other{};
    other[0] = 1;
    ck_assert(!nonces.take(alice, moment(0)));
    CHECK_OK(nonces.put(alice, alice, one, moment(0)));
    CHECK_OK(nonces.put(bob, bob, one, moment(0)));
    CHECK_OK(nonces.put(alice, alice, other, moment(0)));
    ck_assert(nonces.take(alice, moment(1)) == other);
    ck_assert(!nonces.take(alice, moment(1)));
    ck_assert(!nonces.take(bob, moment(nonce_lifetime.count() + 1)));
    // Those of many are bounded; who has one already gets another.
    for (std::uint32_t uid = 0; uid < max_nonces; ++uid)
        CHECK_OK(nonces.put(uid, uid, one, moment(1000)));
    CHECK_ERROR(nonces.put(max_nonces, max_nonces, one, moment(1001)), EDQUOT);
    CHECK_OK(nonces.put(7, 7, other, moment(1001)));
    CHECK_OK(nonces.put(max_nonces, max_nonces, one, moment(1001 + nonce_lifetime.count())));
}
END_TEST

START_TEST(many_processes_of_one_person_take_no_room_of_others) {
    Nonces<std::uint32_t> nonces;
    const auto moment = [](std::int64_t seconds) { return BootTime{Seconds{seconds}}; };
    for (std::uint32_t process = 0; process < 2 * max_nonces; ++process)
        CHECK_OK(nonces.put(process, alice, Nonce{}, moment(process < max_nonces ? 1 : 2)));
    CHECK_OK(nonces.put(2 * max_nonces, bob, Nonce{}, moment(2)));
    // The oldest have gone, and each who asked last has his.
    ck_assert(!nonces.take(0, moment(3)));
    std::size_t left = 0;
    for (std::uint32_t process = 0; process < 2 * max_nonces; ++process)
        left += nonces.take(process, moment(3)).has_value();
    ck_assert_uint_eq(left, max_nonces_per_person);
    ck_assert(nonces.take(2 * max_nonces, moment(3)));
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "factors_keys",
        {a_key_that_signs_its_challenge_counts, a_name_that_was_given_stays,
         an_enrolment_needs_its_own_challenge_signed_with_a_touch, a_plain_key_is_none,
         a_key_is_enrolled_once_a_person, keys_are_among_the_factors_that_are_bounded,
         what_is_signed_has_to_be_this_and_touched, wrong_signatures_wait_as_wrong_codes_do,
         a_key_that_does_not_count_is_taken_each_time, an_attempt_repeated_has_the_same_outcome,
         last_used_is_written, no_key_can_be_put_into_the_file,
         a_new_key_of_the_database_leaves_the_keys_and_what_is_pending,
         a_pending_row_called_active_is_no_key, one_row_that_does_not_open_leaves_the_others,
         of_many_uses_of_one_signature_at_once_one_counts, a_nonce_is_taken_once_and_soon,
         many_processes_of_one_person_take_no_room_of_others},
        {.before = make_folder, .after = remove_folder, .seconds = 30});
}
