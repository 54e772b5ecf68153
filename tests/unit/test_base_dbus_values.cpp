// What is refused at once: by the writer, as sd-bus refuses it, and by the reader, whoever wrote
// it.

#include "base/dbus_values.hpp"
#include "base/utf8.hpp"
#include "tests/unit/test.hpp"

#include <cerrno>
#include <cstdint>
#include <string>

using namespace vigil::base;
using namespace std::string_literals;

namespace {

constexpr std::uint32_t seven = 7;

START_TEST(what_does_not_belong_there_is_not_written) {
    DbusWriter writer;
    ck_assert_int_eq(writer.open('r', "us"), 0);
    ck_assert_int_eq(writer.basic('s', "first"), -ENXIO);
    ck_assert_int_eq(writer.basic('u', &seven), 0);
    ck_assert_int_eq(writer.close(), -EBUSY); // half of it
    ck_assert_int_eq(writer.basic('s', "second"), 0);
    ck_assert_int_eq(writer.basic('s', "third"), -ENXIO);
    ck_assert(!writer.is_whole());
    ck_assert_int_eq(writer.close(), 0);
    ck_assert_int_eq(writer.close(), -ENXIO);
    ck_assert(writer.is_whole());
    CHECK_TEXT(writer.signature(), "(us)");
}
END_TEST

START_TEST(a_text_is_utf8_on_both_sides) {
    for (const std::string& text : {"\xff"s, "\xc0\x80"s, "\xed\xa0\x80"s, "\xf4\x90\x80\x80"s,
                                    "a\xe2\x82"s, "\xef\xbf\xbe"s, "\xef\xb7\x90"s}) {
        DbusWriter writer;
        ck_assert_int_eq(writer.basic('s', text.c_str()), -EINVAL);
        std::string bytes(4, '\0');
        bytes[0] = static_cast<char>(text.size());
        bytes += text + '\0';
        DbusReader reader{bytes, "s"};
        const char* read = nullptr;
        ck_assert_int_eq(reader.basic('s', &read), -EBADMSG);
    }
    ck_assert(is_dbus_text("größe €\xf0\x9f\x98\x80"));
}
END_TEST

START_TEST(lengths_beyond_the_end_are_refused) {
    const char* text = nullptr;
    std::uint32_t number = 0;
    std::size_t size = 0;
    const void* data = nullptr;
    for (const std::string& bytes : {""s, "\1\0\0"s, "\1\0\0\0"s, "\1\0\0\0a"s,
                                     "\xff\xff\xff\xff"
                                     "a\0"s,
                                     "\1\0\0\0ab"s, "\2\0\0\0a\0\0"s}) {
        DbusReader reader{bytes, "s"};
        ck_assert_int_eq(reader.basic('s', &text), -EBADMSG);
    }
    const std::string four = "\5\0\0\0abcd"s;
    DbusReader few{four, "ay"};
    ck_assert_int_eq(few.array('y', &data, &size), -EBADMSG);
    const std::string beyond = "\x08\0\0\0\7\0\0\0"s;
    DbusReader array{beyond, "au"};
    ck_assert_int_eq(array.open('a', "u"), -EBADMSG);
    const std::string odd = "\6\0\0\0\7\0\0\0\7\0\0\0"s; // one and a half
    DbusReader half{odd, "au"};
    ck_assert_int_eq(half.open('a', "u"), 1);
    ck_assert_int_eq(half.basic('u', &number), 1);
    ck_assert_int_eq(half.close(), -EBUSY);
    ck_assert_int_eq(half.basic('u', &number), -EBADMSG);
}
END_TEST

START_TEST(padding_and_truth_are_zero_or_one) {
    const std::string padded = "\1\0\0x\7\0\0\0"s;
    DbusReader reader{padded, "yu"};
    std::uint8_t byte = 0;
    std::uint32_t number = 0;
    ck_assert_int_eq(reader.basic('y', &byte), 1);
    ck_assert_int_eq(reader.basic('u', &number), -EBADMSG);
    const std::string two = "\2\0\0\0"s;
    DbusReader truth{two, "b"};
    int value = 0;
    ck_assert_int_eq(truth.basic('b', &value), -EBADMSG);
}
END_TEST

START_TEST(only_whole_types_are_a_signature) {
    for (const char* good : {"", "s", "a{sv}", "a(ssussttb)", "aaay", "h(suassss)s", "v"})
        ck_assert_msg(is_signature(good), "%s", good);
    for (const std::string& bad : {"("s, "()"s, "(s"s, "a"s, "{sv}"s, "a{vs}"s, "a{s}"s, "a{sss}"s,
                                   "z"s, ")"s, std::string(256, 'y'), std::string(18, 'a') + "y"})
        ck_assert_msg(!is_signature(bad), "%s", bad.c_str());
}
END_TEST

START_TEST(variants_in_variants_end_somewhere) {
    std::string bytes;
    for (int i = 0; i < 1000; ++i)
        bytes += "\1v\0"s;
    DbusReader reader{bytes, "v"};
    ck_assert_int_eq(reader.skip("v"), -EBADMSG);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("base_dbus_values",
                            {what_does_not_belong_there_is_not_written,
                             a_text_is_utf8_on_both_sides, lengths_beyond_the_end_are_refused,
                             padding_and_truth_are_zero_or_one, only_whole_types_are_a_signature,
                             variants_in_variants_end_somewhere});
}
