// Security keys and what they sign: what ssh-keygen and ssh-agent make is taken, and nothing that
// differs from it.

#include "base/base64.hpp"
#include "base/openssl.hpp"
#include "base/sha256.hpp"
#include "base/ssh_format.hpp"
#include "daemon/factors/ssh_key.hpp"
#include "tests/unit/keys_seen.hpp"
#include "tests/unit/test.hpp"

#include <cerrno>
#include <random>
#include <set>

using namespace vigil;
using namespace vigil::factors;
using namespace vigil::test;
using namespace std::string_literals;

namespace {

using Kind = wire::SecurityKey::Kind;

std::string blob_of(const char* line) {
    const auto blob = wire::blob_of_line(line);
    CHECK_OK(blob);
    return *blob;
}

wire::SecurityKey key_of(const char* line) {
    const auto key = wire::parse_security_key(blob_of(line));
    CHECK_OK(key);
    return *key;
}

std::string bytes_of(const char* base64) {
    return base::base64_decode(base64).value();
}

std::string string_of(std::string_view bytes) {
    std::string out;
    base::append_ssh_string(out, bytes);
    return out;
}

START_TEST(base64_is_the_rfcs_and_one_text_is_one_value) {
    // RFC 4648, 10.
    for (const auto& [plain, text] : {std::pair{"", ""},
                                      {"f", "Zg=="},
                                      {"fo", "Zm8="},
                                      {"foo", "Zm9v"},
                                      {"foob", "Zm9vYg=="},
                                      {"fooba", "Zm9vYmE="},
                                      {"foobar", "Zm9vYmFy"}}) {
        CHECK_TEXT(base::base64_encode(plain), text);
        CHECK_TEXT(base::base64_decode(text).value(), plain);
    }
    for (const char* wrong : {"Z", "Zg", "Zg=", "Zg==\n", "Zh==", "Zm9=", "====", "Z===", "Zm=v",
                              "Zm9v=", " Zm8=", "Zm8-", "Zg==Zg=="})
        ck_assert_msg(!base::base64_decode(wrong), "%s", wrong);
}
END_TEST

START_TEST(sha256_agrees_with_openssl) {
    std::mt19937 random{1};
    // Each length around the ends of blocks, and of the padding.
    for (std::size_t size = 0; size < 200; ++size) {
        std::string bytes(size, '\0');
        for (char& c : bytes)
            c = static_cast<char>(random());
        const auto own = base::sha256(bytes);
        ck_assert(std::string(own.begin(), own.end()) ==
                  base::digest(base::Hash::sha256, bytes).value());
    }
}
END_TEST

START_TEST(a_line_of_ssh_keygens_is_taken) {
    const auto plain = key_of(ed25519_line);
    ck_assert(plain.kind == Kind::ed25519 && plain.point.size() == 32);
    CHECK_TEXT(plain.application, "ssh:");
    const auto curve = key_of(ecdsa_line);
    ck_assert(curve.kind == Kind::ecdsa_p256 && curve.point.size() == 65);
    CHECK_TEXT(key_of(own_application_line).application, "ssh:vigil");
    for (const char* line : {ed25519_line, ecdsa_line, own_application_line}) {
        const auto blob = blob_of(line);
        const auto without_comment = wire::line_of_blob(blob);
        ck_assert(std::string{line}.starts_with(without_comment));
        ck_assert(wire::blob_of_line(without_comment + "\r\n").value() == blob);
    }
    CHECK_TEXT(wire::fingerprint_of(blob_of(ed25519_line)), ed25519_fingerprint);
    CHECK_TEXT(wire::fingerprint_of(blob_of(ecdsa_line)), ecdsa_fingerprint);
}
END_TEST

START_TEST(other_keys_are_told_apart_from_none) {
    for (const char* line : {plain_line, rsa_line, certificate_line})
        CHECK_ERROR(wire::blob_of_line(line), ENOTSUP);
    for (const std::string& line :
         {""s, " "s, "sk-ssh-ed25519@openssh.com"s, "sk-ssh-ed25519@openssh.com "s, "one two"s,
          "ssh-ed25519 "s + (ed25519_line + 27), // the name in front is another's
          "sk-ecdsa-sha2-nistp256@openssh.com "s + (ed25519_line + 27),
          "sk-ssh-ed25519@openssh.com  "s + (ed25519_line + 27),
          "sk-ssh-ed25519@openssh.com "s + std::string(4096, 'A')})
        CHECK_ERROR(wire::blob_of_line(line), EINVAL);
}
END_TEST

START_TEST(a_key_with_anything_else_in_it_is_none) {
    for (const char* line : {ed25519_line, ecdsa_line}) {
        const auto blob = blob_of(line);
        for (std::size_t size = 0; size < blob.size(); ++size)
            ck_assert(!wire::parse_security_key(blob.substr(0, size)));
        CHECK_ERROR(wire::parse_security_key(blob + '\0'), EINVAL);
        CHECK_ERROR(wire::parse_security_key(blob + string_of("")), EINVAL);
    }
    const auto name = string_of("sk-ssh-ed25519@openssh.com");
    const auto point = string_of(std::string(32, 'p'));
    CHECK_OK(wire::parse_security_key(name + point + string_of("ssh:")));
    CHECK_ERROR(wire::parse_security_key(name + point + string_of("https://example.org")), EINVAL);
    CHECK_ERROR(wire::parse_security_key(name + point + string_of("")), EINVAL);
    CHECK_ERROR(
        wire::parse_security_key(name + string_of(std::string(31, 'p')) + string_of("ssh:")),
        EINVAL);
    CHECK_ERROR(wire::parse_security_key(name + point + string_of("ssh:" + std::string(500, 'a'))),
                EINVAL);
    const auto curve = string_of("sk-ecdsa-sha2-nistp256@openssh.com");
    const auto dot = string_of("\4"s + std::string(64, 'p'));
    CHECK_OK(wire::parse_security_key(curve + string_of("nistp256") + dot + string_of("ssh:")));
    CHECK_ERROR(wire::parse_security_key(curve + string_of("nistp384") + dot + string_of("ssh:")),
                EINVAL);
    CHECK_ERROR(wire::parse_security_key(curve + string_of("nistp256") +
                                         string_of("\2"s + std::string(64, 'p')) +
                                         string_of("ssh:")),
                EINVAL);
}
END_TEST

START_TEST(an_answer_is_a_text_and_back) {
    const wire::KeyAnswer answer{.blob = blob_of(ecdsa_line),
                                 .signature = bytes_of(ecdsa_signature)};
    const auto text = wire::text_of(answer);
    const auto again = wire::key_answer_of(text);
    ck_assert(again && again->blob == answer.blob && again->signature == answer.signature);
    for (const auto& wrong : {""s, "123456"s, " "s, text + " "s, text + "\n"s, "x " + text,
                              "Zm9v " + text.substr(text.find(' ') + 1)})
        ck_assert_msg(!wire::key_answer_of(wrong), "%s", wrong.c_str());
}
END_TEST

START_TEST(what_an_agent_signed_is_good) {
    for (const auto& [line, signature] :
         {std::pair{ed25519_line, ed25519_signature}, {ecdsa_line, ecdsa_signature}}) {
        const auto use = verify_key(key_of(line), signed_bytes, bytes_of(signature));
        CHECK_OK(use);
        ck_assert(!use->verified);
        ck_assert_uint_eq(use->counter, 1);
    }
    const auto verified =
        verify_key(key_of(ed25519_line), signed_bytes, bytes_of(verified_signature));
    CHECK_OK(verified);
    ck_assert(verified->verified);
}
END_TEST

START_TEST(without_a_touch_it_counts_for_nothing) {
    CHECK_ERROR(verify_key(key_of(ed25519_line), signed_bytes, bytes_of(untouched_signature)),
                EPERM);
}
END_TEST

START_TEST(it_is_good_for_these_bytes_and_this_key_alone) {
    const auto signature = bytes_of(ed25519_signature);
    CHECK_ERROR(verify_key(key_of(ed25519_line), "signed for a tesT", signature), EACCES);
    CHECK_ERROR(verify_key(key_of(ed25519_line), "", signature), EACCES);
    CHECK_ERROR(verify_key(key_of(own_application_line), signed_bytes, signature), EACCES);
    CHECK_ERROR(verify_key(key_of(ecdsa_line), signed_bytes, signature), EACCES);
    CHECK_ERROR(verify_key(key_of(ed25519_line), signed_bytes, bytes_of(ecdsa_signature)), EACCES);
    auto moved = key_of(ed25519_line);
    moved.application = "ssh:vigil";
    CHECK_ERROR(verify_key(moved, signed_bytes, signature), EACCES);
}
END_TEST

START_TEST(no_bit_of_it_can_be_changed) {
    for (const auto& [line, text] :
         {std::pair{ed25519_line, ed25519_signature}, {ecdsa_line, ecdsa_signature}}) {
        const auto key = key_of(line);
        const auto signature = bytes_of(text);
        for (std::size_t bit = 0; bit < signature.size() * 8; ++bit) {
            auto changed = signature;
            changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ 1 << bit % 8);
            ck_assert_msg(!verify_key(key, signed_bytes, changed), "bit %zu", bit);
        }
        for (std::size_t size = 0; size < signature.size(); ++size)
            CHECK_ERROR(verify_key(key, signed_bytes, signature.substr(0, size)), EBADMSG);
        CHECK_ERROR(verify_key(key, signed_bytes, signature + '\0'), EBADMSG);
        CHECK_ERROR(verify_key(key, signed_bytes, std::string(5000, 'x')), EBADMSG);
    }
}
END_TEST

std::string ecdsa_of(std::string_view r, std::string_view s) {
    return string_of("sk-ecdsa-sha2-nistp256@openssh.com") +
           string_of(string_of(r) + string_of(s)) + "\1"s + "\0\0\0\1"s;
}

START_TEST(numbers_are_written_one_way) {
    const auto good = parse_key_signature(ecdsa_of("\x7f", "\0\x80"s));
    CHECK_OK(good);
    ck_assert(good->first == "\x7f" && good->second == "\x80" && good->flags == 1 &&
              good->counter == 1);
    CHECK_OK(parse_key_signature(ecdsa_of("\0"s + std::string(32, '\xff'), "\1")));
    // Zero, a sign, a zero too many, a number too long, a third one.
    for (const std::string& r : {""s, "\0"s, "\x80"s, "\0\x7f"s, "\0\0\x80"s, std::string(33, '\1'),
                                 "\0"s + std::string(33, '\xff')}) {
        CHECK_ERROR(parse_key_signature(ecdsa_of(r, "\1")), EBADMSG);
        CHECK_ERROR(parse_key_signature(ecdsa_of("\1", r)), EBADMSG);
    }
    const auto three = string_of("sk-ecdsa-sha2-nistp256@openssh.com") +
                       string_of(string_of("\1") + string_of("\1") + string_of("\1")) +
                       "\1\0\0\0\1"s;
    CHECK_ERROR(parse_key_signature(three), EBADMSG);
    CHECK_ERROR(parse_key_signature(string_of("ssh-ed25519") + string_of(std::string(64, 'x')) +
                                    "\1\0\0\0\1"s),
                EBADMSG);
}
END_TEST

START_TEST(a_point_beside_the_curve_verifies_nothing) {
    auto key = key_of(ecdsa_line);
    key.point = "\4"s + std::string(64, 'x');
    ck_assert(!verify_key(key, signed_bytes, bytes_of(ecdsa_signature)));
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "ssh_key",
        {base64_is_the_rfcs_and_one_text_is_one_value, sha256_agrees_with_openssl,
         a_line_of_ssh_keygens_is_taken, other_keys_are_told_apart_from_none,
         a_key_with_anything_else_in_it_is_none, an_answer_is_a_text_and_back,
         what_an_agent_signed_is_good, without_a_touch_it_counts_for_nothing,
         it_is_good_for_these_bytes_and_this_key_alone, no_bit_of_it_can_be_changed,
         numbers_are_written_one_way, a_point_beside_the_curve_verifies_nothing},
        {.seconds = 30});
}
