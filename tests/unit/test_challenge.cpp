// What a security key signs is the same for no two challenges, and like nothing else it signs.

#include "base/hex.hpp"
#include "tests/unit/test.hpp"
#include "wire/challenge.hpp"

#include <set>
#include <vector>

using namespace vigil;
using namespace vigil::wire;
using namespace std::string_literals;

namespace {

START_TEST(the_bytes_are_these) {
    Challenge challenge{.purpose = Challenge::Purpose::step_up,
                        .host = "web1",
                        .user = "alice",
                        .session = "0a",
                        .terminal = "pts/0",
                        .run_as = "root",
                        .command_digest = std::string(32, 'd')};
    challenge.nonce.fill(0x17);
    CHECK_TEXT(base::hex_encode(bytes_of(challenge)),
               base::hex_encode("vigil-challenge-1\n\3"s + "\0\0\0\4web1"s + "\0\0\0\5alice"s +
                                "\0\0\0\2"s + "0a" + "\0\0\0\5pts/0"s + "\0\0\0\4root"s +
                                "\0\0\0\x20"s + std::string(32, 'd') + "\0\0\0\x20"s +
                                std::string(32, '\x17')));
}
END_TEST

START_TEST(no_two_challenges_are_the_same_bytes) {
    // Of texts that would run into each other, if their lengths did not stand in front.
    const std::vector<std::string> texts{""s, "a"s, "aa"s, "\0"s, "\0\0\0\1a"s, "\0\0\0\0"s};
    std::set<std::string> seen;
    std::size_t made = 0;
    for (const auto purpose :
         {Challenge::Purpose::enroll, Challenge::Purpose::manage, Challenge::Purpose::step_up,
          Challenge::Purpose::unlock, Challenge::Purpose::login})
        for (const auto& host : texts)
            for (const auto& user : texts)
                for (const auto& session : texts)
                    for (const auto& terminal : texts)
                        for (const auto& run_as : texts) {
                            seen.insert(bytes_of({.purpose = purpose,
                                                  .host = host,
                                                  .user = user,
                                                  .session = session,
                                                  .terminal = terminal,
                                                  .run_as = run_as}));
                            ++made;
                        }
    ck_assert_uint_eq(seen.size(), made);
}
END_TEST

START_TEST(each_bit_of_digest_and_nonce_counts) {
    std::set<std::string> seen;
    for (std::size_t bit = 0; bit < 256; ++bit) {
        Challenge one;
        one.nonce[bit / 8] = static_cast<std::uint8_t>(1 << bit % 8);
        seen.insert(bytes_of(one));
        Challenge other;
        other.command_digest = std::string(32, '\0');
        other.command_digest[bit / 8] = static_cast<char>(1 << bit % 8);
        seen.insert(bytes_of(other));
    }
    ck_assert_uint_eq(seen.size(), 512);
}
END_TEST

START_TEST(it_is_no_login_and_no_files_signature) {
    const auto bytes = bytes_of({});
    ck_assert(!bytes.starts_with("SSHSIG"));
    // A login's data begin with the length of a session id, a hash.
    ck_assert_uint_gt(static_cast<unsigned char>(bytes[0]), 0);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("challenge", {the_bytes_are_these, no_two_challenges_are_the_same_bytes,
                                          each_bit_of_digest_and_nonce_counts,
                                          it_is_no_login_and_no_files_signature});
}
