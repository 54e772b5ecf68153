// daemon/factors: one key for another; and that a database without its key is worth nothing.

#include "base/hex.hpp"
#include "tests/unit/factors_help.hpp"
#include "wire/answer.hpp"

#include <csignal>
#include <fstream>
#include <optional>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vigil;
using namespace vigil::test;
namespace fs = std::filesystem;

namespace {

constexpr const char* second = "vigil.key.2";

std::string bytes_of_files() {
    std::string all;
    for (const auto& entry : fs::directory_iterator{folder}) {
        std::ifstream file{entry.path(), std::ios::binary};
        all += std::string{std::istreambuf_iterator<char>{file}, {}};
    }
    return all;
}

std::vector<std::string> sealed_rows() {
    auto database = base::Database::open(path, false, base::Database::Synchronous::full);
    CHECK_OK(database);
    auto statement = database->prepare("SELECT sealed FROM factor UNION SELECT value FROM meta");
    CHECK_OK(statement);
    std::vector<std::string> all;
    while (*statement->step())
        all.emplace_back(statement->blob(0));
    return all;
}

/// A device of alice's, recovery codes of hers, a device of bob's.
struct People {
    std::string alices, bobs;
    std::vector<std::string> recovery;
};

People enrol(Factors& factors) {
    People people{.alices = device(factors, alice, at(0)).secret,
                  .bobs = device(factors, bob, at(0)).secret,
                  .recovery = {}};
    const auto codes = factors.renew_recovery(alice, "alice", at(0));
    CHECK_OK(codes);
    for (const auto& code : *codes)
        people.recovery.emplace_back(code.view());
    return people;
}

void check_all_count(Factors& factors, const People& people, std::int64_t when) {
    const Now now = at(when);
    ck_assert(verdict(factors, alice, code_at(people.alices, now), now) == Verdict::accepted);
    ck_assert(verdict(factors, bob, code_at(people.bobs, now), now) == Verdict::accepted);
    ck_assert(factors
                  .check(Factors::Proof::recovery, alice, here,
                         people.recovery[static_cast<std::size_t>(when / 60)], attempt(), now)
                  ->verdict == Verdict::accepted);
}

START_TEST(all_is_sealed_under_the_new_key_and_nothing_under_the_old) {
    People people;
    std::vector<std::string> before;
    {
        auto factors = open_factors();
        people = enrol(factors);
        before = sealed_rows();
        ck_assert_uint_eq(before.size(), 4);
        const auto used = code_at(people.alices, at(60));
        ck_assert(verdict(factors, alice, used, at(60)) == Verdict::accepted);
        before = sealed_rows();
        CHECK_TEXT(factors.key_name(), "vigil.key");
        const auto done = factors.rekey(a_key('n'), second);
        CHECK_OK(done);
        ck_assert_uint_eq(done->sealed, 3);
        ck_assert_uint_eq(done->broken, 0);
        CHECK_TEXT(factors.key_name(), second);
        ck_assert(verdict(factors, alice, used, at(60)) == Verdict::wrong);
        const auto files = bytes_of_files();
        for (const auto& sealed : before)
            ck_assert(files.find(sealed) == std::string::npos);
        check_all_count(factors, people, 120);
    }
    CHECK_ERROR(Factors::open(path, a_key(), "host"), EBADMSG);
    auto factors = Factors::open(path, a_key('n'), "host", second);
    CHECK_OK(factors);
    CHECK_OK(factors->rekey(a_key('m'), "vigil.key"));
    ck_assert(verdict(*factors, bob, code_at(people.bobs, at(180)), at(180)) == Verdict::accepted);
}
END_TEST

START_TEST(the_key_in_use_is_no_new_one) {
    auto factors = open_factors();
    device(factors, alice, at(0));
    CHECK_ERROR(factors.rekey(a_key('n'), "vigil.key"), EINVAL);
    CHECK_ERROR(factors.rekey(a_key(), second), EINVAL);
    CHECK_ERROR(factors.rekey(base::Secret{std::string(31, 'n')}, second), EINVAL);
    CHECK_TEXT(factors.key_name(), "vigil.key");
}
END_TEST

START_TEST(a_row_that_was_broken_stays_so) {
    auto factors = open_factors();
    const auto people = enrol(factors);
    sql("UPDATE factor SET sealed = x'01' WHERE uid = 1001");
    const auto done = factors.rekey(a_key('n'), second);
    CHECK_OK(done);
    ck_assert_uint_eq(done->sealed, 2);
    ck_assert_uint_eq(done->broken, 1);
    CHECK_ERROR(factors.check_totp(bob, here, code_at(people.bobs, at(60)), attempt(), at(60)),
                EBADMSG);
    const auto code = code_at(people.alices, at(60));
    ck_assert(verdict(factors, alice, code, at(60)) == Verdict::accepted);
}
END_TEST

START_TEST(a_swapped_file_is_not_rekeyed) {
    auto factors = open_factors();
    enrol(factors);
    fs::copy(path, path + ".old");
    fs::rename(path + ".old", path);
    CHECK_ERROR(factors.rekey(a_key('n'), second), ESTALE);
}
END_TEST

START_TEST(a_full_disk_leaves_the_old_key_in_use) {
    auto factors = open_factors();
    const auto people = enrol(factors);
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{fs::file_size(path + "-wal"), RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    ck_assert(!factors.rekey(a_key('n'), second));
    const rlimit large{RLIM_INFINITY, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &large), 0);
    CHECK_TEXT(factors.key_name(), "vigil.key");
    check_all_count(factors, people, 60);
    CHECK_ERROR(Factors::open(path, a_key('n'), "host"), EBADMSG);
    CHECK_OK(factors.rekey(a_key('n'), second));
    auto again = Factors::open(path, a_key('n'), "host");
    CHECK_OK(again);
    check_all_count(*again, people, 120);
}
END_TEST

/// Killed by the write that makes a file longer than so much (SIGXFSZ). True: it was.
bool is_killed_at(rlim_t size) {
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        const rlimit none{0, 0};
        setrlimit(RLIMIT_CORE, &none);
        auto factors = Factors::open(path, a_key(), "host");
        const rlimit limit{size, RLIM_INFINITY};
        if (!factors || setrlimit(RLIMIT_FSIZE, &limit) != 0)
            _exit(2);
        _exit(factors->rekey(a_key('n'), second) ? 0 : 3);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) ? WTERMSIG(status) == SIGXFSZ : WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

START_TEST(a_kill_at_any_write_leaves_a_database_that_one_of_the_keys_opens) {
    unsigned kills = 0;
    bool killed = true;
    for (rlim_t size = 0; killed; size += 512) {
        remove_folder();
        fs::create_directory(folder);
        People people;
        {
            auto factors = open_factors();
            people = enrol(factors);
        }
        killed = is_killed_at(size);
        kills += killed;
        auto with_old = Factors::open(path, a_key(), "host");
        auto with_new = Factors::open(path, a_key('n'), "host", second);
        ck_assert(with_old.has_value() != with_new.has_value());
        ck_assert(killed || with_new);
        auto& factors = with_old ? *with_old : *with_new;
        check_all_count(factors, people, 60);
        // And it goes on from there.
        CHECK_OK(factors.rekey(a_key('z'), with_old ? second : "vigil.key"));
        auto again = Factors::open(path, a_key('z'), "host");
        CHECK_OK(again);
        check_all_count(*again, people, 120);
    }
    ck_assert_uint_gt(kills, 10);
}
END_TEST

START_TEST(a_copied_database_without_its_key_yields_nothing) {
    People people;
    {
        auto factors = open_factors();
        people = enrol(factors);
        check_all_count(factors, people, 60);
    }
    const auto files = bytes_of_files();
    const auto is_there = [&](std::string_view text) {
        return files.find(text) != std::string::npos;
    };
    ck_assert(is_there("phone")); // what is not secret is found
    for (const auto& secret : {people.alices, people.bobs}) {
        const auto raw = *base::base32_decode(secret);
        ck_assert(!is_there(secret) && !is_there(raw) && !is_there(base::hex_encode(raw)));
        for (const int step : {-1, 0, 1})
            ck_assert(!is_there(code_at(secret, at(60), step)));
    }
    for (const auto& code : people.recovery) {
        const auto raw = wire::recovery_code(code);
        ck_assert(raw && !is_there(code) && !is_there(raw->view()));
    }
    for (const char other : {'x', '\0'})
        CHECK_ERROR(Factors::open(path, a_key(other), "host"), EBADMSG);
    // Nor with a proof of another key put in its place: the rows do not open.
    const auto sealed =
        base::seal(a_key('x').view(), "vigil factors, meta, 1", "sealed under this key");
    sql("UPDATE meta SET value = x'" + base::hex_encode(*sealed) + "'");
    auto forged = Factors::open(path, a_key('x'), "host");
    CHECK_OK(forged);
    CHECK_ERROR(forged->check_totp(alice, here, code_at(people.alices, at(90)), attempt(), at(90)),
                EBADMSG);
    CHECK_ERROR(forged->check(Factors::Proof::recovery, alice, here, people.recovery.back(),
                              attempt(), at(90)),
                EBADMSG);
}
END_TEST

START_TEST(a_sealed_row_opens_for_nobody_else_and_as_nothing_else) {
    auto factors = open_factors();
    const auto people = enrol(factors);
    const auto fails_for = [&](const char* change, std::uint32_t uid, const std::string& secret) {
        sql(std::string{"UPDATE factor SET "} + change);
        const auto code = code_at(secret, at(60));
        const auto outcome = factors.check_totp(uid, here, code, attempt(), at(60));
        ck_assert(!outcome || outcome->verdict != Verdict::accepted);
    };
    sql("CREATE TABLE kept AS SELECT * FROM factor");
    const auto put_back = [] { sql("DELETE FROM factor; INSERT INTO factor SELECT * FROM kept"); };
    fails_for("uid = 2000 - uid + 1 WHERE uid IN (1000, 1001)", alice, people.bobs);
    put_back();
    fails_for("sealed = (SELECT sealed FROM kept WHERE uid = 1001) WHERE uid = 1000", alice,
              people.bobs);
    put_back();
    fails_for("id = 'another' WHERE uid = 1001", bob, people.bobs);
    put_back();
    fails_for("kind = 'totp-8' WHERE uid = 1001", bob, people.bobs);
    put_back();
    check_all_count(factors, people, 60);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("rekey",
                            {all_is_sealed_under_the_new_key_and_nothing_under_the_old,
                             the_key_in_use_is_no_new_one, a_row_that_was_broken_stays_so,
                             a_swapped_file_is_not_rekeyed, a_full_disk_leaves_the_old_key_in_use,
                             a_kill_at_any_write_leaves_a_database_that_one_of_the_keys_opens,
                             a_copied_database_without_its_key_yields_nothing,
                             a_sealed_row_opens_for_nobody_else_and_as_nothing_else},
                            {.before = make_folder, .after = remove_folder, .seconds = 60});
}
