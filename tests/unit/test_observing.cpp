// Whether the kernel was told that vigil only observes.

#include "tests/unit/test.hpp"
#include "wire/observing.hpp"

using vigil::wire::says_observe;

namespace {

START_TEST(the_word_is_a_word_of_the_kernels) {
    for (const char* const line :
         {"vigil.mode=observe", "quiet vigil.mode=observe\n", "a=b\tvigil.mode=observe ro -- -s"})
        ck_assert_msg(says_observe(line), "%s", line);
    for (const char* const line :
         {"", " \n", "vigil.mode=enforce", "vigil.mode=observed", "xvigil.mode=observe",
          "vigil.mode= observe", "quiet -- vigil.mode=observe", "\"vigil.mode=observe\""})
        ck_assert_msg(!says_observe(line), "%s", line);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("observing", {the_word_is_a_word_of_the_kernels});
}
