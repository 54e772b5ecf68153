// What doas and sudo were told: by their manuals, word for word.

#include "pam_module/arguments.hpp"
#include "tests/unit/test.hpp"

using namespace vigil::pam;

namespace {

constexpr std::string_view doas = "Cu";
constexpr std::string_view sudo = "CDghpRrTtUu";
constexpr std::string_view long_name = "--non-interactive";

/// As the kernel keeps them.
std::string words(std::initializer_list<const char*> list) {
    std::string text;
    for (const char* word : list)
        text += std::string{word} + '\0';
    return text;
}

START_TEST(n_is_found_alone_and_among_others) {
    for (const auto& line :
         {words({"doas", "-n", "id"}), words({"doas", "-sn"}),
          words({"doas", "-u", "root", "-n", "id"}), words({"doas", "-uroot", "-n", "id"}),
          words({"doas", "-nu", "root", "id"})})
        ck_assert(has_option_n(line, doas, ""));
    for (const auto& line :
         {words({"sudo", "-kn", "id"}), words({"sudo", "--non-interactive", "id"}),
          words({"sudo", "--login", "-p", "-x", "-n"}), words({"sudo", "-Hnu", "bob", "id"})})
        ck_assert(has_option_n(line, sudo, long_name));
}
END_TEST

START_TEST(what_is_not_the_programs_own_is_no_option) {
    for (const auto& line :
         {words({"doas", "id", "-n"}), words({"doas", "--", "-n"}),
          words({"doas", "-u", "-n", "id"}), words({"doas", "-un", "id"}),
          words({"doas", "-", "-n"}), words({"-n", "id"}), words({"doas"}), words({"doas", "-u"}),
          words({"doas", "", "-n"}), std::string{}, std::string{"doas"}})
        ck_assert(!has_option_n(line, doas, ""));
    for (const auto& line : {words({"sudo", "--non-interactive-no", "id"}),
                             words({"sudo", "-u", "-n", "id"}), words({"sudo", "env", "-n"}),
                             words({"sudo", "-pn", "id"}), words({"sudo", "A=-n", "-n"})})
        ck_assert(!has_option_n(line, sudo, long_name));
}
END_TEST

START_TEST(a_line_that_was_cut_is_read_to_its_end) {
    const std::string line = words({"doas", "-u", "root", "-n"});
    for (std::size_t size = 0; size < line.size() - 1; ++size)
        ck_assert(!has_option_n(line.substr(0, size), doas, ""));
    ck_assert(has_option_n(line.substr(0, line.size() - 1), doas, ""));
}
END_TEST

START_TEST(a_variable_is_found_by_its_whole_name_and_the_first_counts) {
    const std::string line = words({"PATH=/bin", "AXA=1", "A=two = 2", "A=3", "B", "C="});
    CHECK_TEXT(std::string{variable_in(line, "A")}, "two = 2");
    CHECK_TEXT(std::string{variable_in(line, "PATH")}, "/bin");
    for (const char* name : {"B", "C", "PAT", "X", ""})
        CHECK_TEXT(std::string{variable_in(line, name)}, "");
    CHECK_TEXT(std::string{variable_in("A=cut", "A")}, "cut");
    CHECK_TEXT(std::string{variable_in("", "A")}, "");
}
END_TEST

START_TEST(what_was_set_at_the_start_outlives_what_is_set_now) {
    const auto path = variable_at_start("PATH");
    ck_assert_int_eq(setenv("PATH", "/elsewhere", 1), 0);
    ck_assert(!path.empty());
    CHECK_TEXT(variable_at_start("PATH"), path);
}
END_TEST

/// This program's own arguments have none.
START_TEST(others_are_asked_whatever_they_were_told) {
    for (const char* service : {"doas", "sudo", "sudo-i", "su", "polkit-1", ""})
        ck_assert(!is_to_ask_nobody(service));
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "arguments", {n_is_found_alone_and_among_others, what_is_not_the_programs_own_is_no_option,
                      a_line_that_was_cut_is_read_to_its_end,
                      a_variable_is_found_by_its_whole_name_and_the_first_counts,
                      what_was_set_at_the_start_outlives_what_is_set_now,
                      others_are_asked_whatever_they_were_told});
}
