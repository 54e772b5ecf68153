// daemon/core/ids: a session's id as text and back.

#include "daemon/core/ids.hpp"
#include "tests/unit/test.hpp"

using vigil::core::SessionId;

START_TEST(an_id_survives_the_way_through_text) {
    SessionId id;
    for (std::size_t i = 0; i < id.bytes.size(); ++i)
        id.bytes[i] = static_cast<std::uint8_t>(i * 17);
    ck_assert(id.text() == "00112233445566778899aabbccddeeff");
    const auto back = SessionId::from_text(id.text());
    ck_assert(back && *back == id);
}
END_TEST

START_TEST(what_is_no_id_is_refused) {
    using namespace std::string_view_literals;
    for (const auto text : {
             ""sv,
             "00112233445566778899aabbccddeef"sv,
             "00112233445566778899aabbccddeeff0"sv,
             "00112233445566778899aabbccddeeff00"sv,
             "00112233445566778899AABBCCDDEEFF"sv,
             "00112233445566778899aabbccddeefg"sv,
             "0011223344556677 899aabbccddeeff"sv,
             "../../../../../../../../../../.."sv,
             "00112233445566778899aabbccddee\0f"sv,
         })
        ck_assert_msg(!SessionId::from_text(text), "taken: %.*s", static_cast<int>(text.size()),
                      text.data());
}
END_TEST

int main() {
    return vigil::test::run("ids", {an_id_survives_the_way_through_text, what_is_no_id_is_refused});
}
