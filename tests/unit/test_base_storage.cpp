#include "base/hex.hpp"
#include "base/openssl.hpp"
#include "base/sqlite.hpp"
#include "tests/unit/folder.hpp"

#include <cerrno>
#include <fstream>

#include <sys/stat.h>

using namespace vigil;
using namespace vigil::base;

namespace {

using namespace std::string_literals;

std::string from_hex(const char* text) {
    return *hex_decode(text);
}

// ---- OpenSSL

START_TEST(hmac_agrees_with_the_rfcs) {
    // RFC 2202 case 1, RFC 4231 cases 1 and 2, RFC 4231 case 6 (a long key).
    const std::string key(20, '\x0b');
    CHECK_TEXT(hex_encode(*hmac(Hash::sha1, key, "Hi There")),
               "b617318655057264e28bc0b6fb378c8ef146be00");
    CHECK_TEXT(hex_encode(*hmac(Hash::sha256, key, "Hi There")),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    CHECK_TEXT(hex_encode(*hmac(Hash::sha512, "Jefe", "what do ya want for nothing?")),
               "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
               "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
    CHECK_TEXT(hex_encode(*hmac(Hash::sha256, std::string(131, '\xaa'),
                                "Test Using Larger Than Block-Size Key - Hash Key First")),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    CHECK_TEXT(hex_encode(*hmac(Hash::sha256, "", "")),
               "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}
END_TEST

START_TEST(digest_agrees_with_fips_180) {
    CHECK_TEXT(hex_encode(*digest(Hash::sha256, "abc")),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
END_TEST

START_TEST(scrypt_agrees_with_rfc_7914) {
    const auto derived = [](std::string_view secret, std::string_view salt, ScryptCost cost) {
        return hex_encode(*scrypt(secret, salt, 64, cost));
    };
    // Section 12, but the last, which takes 1 GiB.
    CHECK_TEXT(derived("", "", {.n = 16, .r = 1, .p = 1}),
               "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
               "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906");
    CHECK_TEXT(derived("password", "NaCl", {.n = 1024, .r = 8, .p = 16}),
               "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
               "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640");
    CHECK_TEXT(derived("pleaseletmein", "SodiumChloride", {.n = 16384, .r = 8, .p = 1}),
               "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
               "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887");
    // What takes more memory than is given is refused, and gives no key of zeros.
    ck_assert(!scrypt("password", "NaCl", 64, {.n = 1 << 20, .r = 8, .p = 1}));
}
END_TEST

START_TEST(random_bytes_differ) {
    const auto one = random_bytes(32);
    const auto two = random_bytes(32);
    CHECK_OK(one);
    CHECK_OK(two);
    ck_assert_uint_eq(one->size(), 32);
    ck_assert(*one != *two);
}
END_TEST

const std::string key(seal_key_bytes, 'k');

START_TEST(what_is_sealed_comes_back) {
    for (const std::string& secret : {""s, "s"s, "a secret of twenty b"s, std::string(5000, '\0')})
        for (const std::string& additional : {""s, "alice/totp/1"s}) {
            const auto sealed = seal(key, additional, secret);
            CHECK_OK(sealed);
            ck_assert_uint_eq(sealed->size(), secret.size() + seal_overhead_bytes);
            const auto opened = unseal(key, additional, *sealed);
            CHECK_OK(opened);
            ck_assert(opened->view() == secret);
        }
}
END_TEST

START_TEST(the_layout_on_disk_stays) {
    // Made by python3-cryptography's AESGCM, with additional data of version byte and "vigil".
    const std::string zero_key(32, '\0');
    const std::string sealed =
        from_hex("01"
                 "000000000000000000000000"
                 "bdce38492805054e6537b1b6c9d3f273bd34bc88ebc6625867527165d229d62b");
    const auto opened = unseal(zero_key, "vigil", sealed);
    CHECK_OK(opened);
    CHECK_TEXT(opened->view(), "sixteen bytes ok");
}
END_TEST

START_TEST(no_two_seals_are_alike) {
    ck_assert(*seal(key, "a", "same") != *seal(key, "a", "same"));
}
END_TEST

START_TEST(a_change_of_any_bit_is_found) {
    const auto sealed = seal(key, "alice", "secret");
    CHECK_OK(sealed);
    for (std::size_t at = 0; at < sealed->size(); ++at)
        for (int bit = 0; bit < 8; ++bit) {
            std::string changed = *sealed;
            changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
            CHECK_ERROR(unseal(key, "alice", changed), EBADMSG);
        }
    for (std::size_t size = 0; size < sealed->size(); ++size)
        CHECK_ERROR(unseal(key, "alice", std::string_view{*sealed}.substr(0, size)), EBADMSG);
    CHECK_ERROR(unseal(key, "bob", *sealed), EBADMSG);
    CHECK_ERROR(unseal(key, "alice", *sealed + "x"), EBADMSG);
    CHECK_ERROR(unseal(std::string(seal_key_bytes, 'K'), "alice", *sealed), EBADMSG);
    CHECK_ERROR(unseal("short", "alice", *sealed), EINVAL);
    CHECK_ERROR(seal("short", "alice", "x"), EINVAL);
}
END_TEST

START_TEST(comparison_sees_every_difference) {
    ck_assert(equal_in_constant_time("abc", "abc"));
    ck_assert(!equal_in_constant_time("abc", "abd"));
    ck_assert(!equal_in_constant_time("abc", "ab"));
    ck_assert(equal_in_constant_time("", ""));
}
END_TEST

// ---- SQLite

Database open_new(const std::string& path) {
    auto database = Database::open(path, true, Database::Synchronous::off);
    CHECK_OK(database);
    CHECK_OK(database->exec("CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY, b TEXT, c BLOB) "
                            "STRICT"));
    return std::move(*database);
}

std::int64_t count(Database& database) {
    auto statement = database.prepare("SELECT count(*) FROM t");
    CHECK_OK(statement);
    CHECK_OK(statement->step());
    return statement->integer(0);
}

START_TEST(values_come_back_as_they_were) {
    const test::Folder folder;
    Database database = open_new(folder / "db");
    auto insert = database.prepare("INSERT INTO t VALUES (?1, ?2, ?3)");
    CHECK_OK(insert);
    const std::string blob = "\0\xff'; DROP TABLE t"s;
    CHECK_OK(insert->bind(1, std::int64_t{INT64_MIN}));
    CHECK_OK(insert->bind(2, "naïve'"));
    CHECK_OK(insert->bind_blob(3, blob));
    CHECK_OK(insert->run());
    ck_assert_int_eq(database.changes(), 1);
    CHECK_OK(insert->bind(1, std::int64_t{1}));
    CHECK_OK(insert->bind(2, std::string_view{}));
    CHECK_OK(insert->run()); // place 3 is unbound again: NULL

    auto rows = database.prepare("SELECT a, b, c FROM t ORDER BY a");
    CHECK_OK(rows);
    auto row = rows->step();
    ck_assert(row && *row);
    ck_assert_int_eq(rows->integer(0), INT64_MIN);
    CHECK_TEXT(rows->text(1), "naïve'");
    ck_assert(rows->blob(2) == blob);
    row = rows->step();
    ck_assert(row && *row);
    ck_assert(!rows->is_null(1));
    CHECK_TEXT(rows->text(1), "");
    ck_assert(rows->is_null(2));
    row = rows->step();
    ck_assert(row && !*row);
}
END_TEST

START_TEST(a_transaction_that_is_not_committed_never_was) {
    const test::Folder folder;
    Database database = open_new(folder / "db");
    {
        auto transaction = Transaction::begin(database);
        CHECK_OK(transaction);
        CHECK_OK(database.exec("INSERT INTO t (b) VALUES ('x')"));
        ck_assert_int_eq(count(database), 1);
    }
    ck_assert_int_eq(count(database), 0);
    auto transaction = Transaction::begin(database);
    CHECK_OK(transaction);
    CHECK_OK(database.exec("INSERT INTO t (b) VALUES ('x')"));
    CHECK_OK(transaction->commit());
    ck_assert_int_eq(count(database), 1);
}
END_TEST

START_TEST(errors_say_what_sqlite_says) {
    const test::Folder folder;
    Database database = open_new(folder / "db");
    CHECK_OK(database.exec("INSERT INTO t (a) VALUES (1)"));
    const auto twice = database.exec("INSERT INTO t (a) VALUES (1)");
    CHECK_ERROR(twice, EEXIST);
    ck_assert(twice.error().what.find("UNIQUE constraint failed") != std::string::npos);
    ck_assert(twice.error().what.find("1555") != std::string::npos);
    ck_assert(!database.prepare("SELECT nothing"));
    auto statement = database.prepare("SELECT ?1");
    CHECK_OK(statement);
    ck_assert(!statement->bind(2, std::int64_t{1}));
}
END_TEST

START_TEST(a_second_writer_is_told_at_once) {
    const test::Folder folder;
    Database first = open_new(folder / "db");
    Database second = open_new(folder / "db");
    auto transaction = Transaction::begin(first);
    CHECK_OK(transaction);
    CHECK_ERROR(Transaction::begin(second), EBUSY);
}
END_TEST

START_TEST(a_new_file_is_its_owners_alone) {
    const test::Folder folder;
    umask(0);
    const Database database = open_new(folder / "db");
    for (const char* name : {"db", "db-wal", "db-shm"}) {
        struct stat status{};
        ck_assert_int_eq(stat((folder / name).c_str(), &status), 0);
        ck_assert_uint_eq(status.st_mode & 0777, 0600);
    }
}
END_TEST

START_TEST(what_is_no_database_is_refused) {
    const test::Folder folder;
    CHECK_ERROR(Database::open(folder / "none", false, Database::Synchronous::full), 0);
    ck_assert(!Database::open(folder / "no/where", true, Database::Synchronous::full));
    std::ofstream{folder / "junk"} << std::string(8192, 'x');
    CHECK_ERROR(Database::open(folder / "junk", true, Database::Synchronous::full), EBADMSG);
    std::filesystem::create_symlink(folder / "target", folder / "link");
    ck_assert(!Database::open(folder / "link", true, Database::Synchronous::full));
    ck_assert(!std::filesystem::exists(folder / "target"));
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "base_storage",
        {hmac_agrees_with_the_rfcs, digest_agrees_with_fips_180, scrypt_agrees_with_rfc_7914,
         random_bytes_differ, what_is_sealed_comes_back, the_layout_on_disk_stays,
         no_two_seals_are_alike, a_change_of_any_bit_is_found, comparison_sees_every_difference,
         values_come_back_as_they_were, a_transaction_that_is_not_committed_never_was,
         errors_say_what_sqlite_says, a_second_writer_is_told_at_once,
         a_new_file_is_its_owners_alone, what_is_no_database_is_refused});
}
