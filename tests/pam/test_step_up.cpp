// Asking for a code, and what hostile and broken conversations make of it.

#include "base/unique_fd.hpp"
#include "tests/pam/pam_host.hpp"
#include "tests/unit/test.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

using namespace vigil::test;

namespace {

constexpr std::uint32_t ask_prove = 2;

void ask_for_proof(FakeVigild& vigild) {
    vigild->ask_verdict = ask_prove;
}

int no_answer(int count, const pam_message**, pam_response** responses, void*) {
    *responses = static_cast<pam_response*>(
        std::calloc(static_cast<std::size_t>(count), sizeof(pam_response)));
    return PAM_SUCCESS;
}

int nothing_at_all(int, const pam_message**, pam_response** responses, void*) {
    *responses = nullptr;
    return PAM_SUCCESS;
}

int failing(int, const pam_message**, pam_response**, void*) {
    return PAM_CONV_ERR;
}

int again(int, const pam_message**, pam_response**, void*) {
    return PAM_CONV_AGAIN;
}

} // namespace

START_TEST(allowed_and_not_applicable_ask_nothing) {
    FakeVigild vigild;
    PamHost allowed{vigild, "sudo"};
    ck_assert_int_eq(allowed.account(), PAM_SUCCESS);
    vigild->ask_verdict = 3;
    PamHost other{vigild, "sudo"};
    ck_assert_int_eq(other.account(), ignored);
    ck_assert(allowed.prompts.empty() && other.prompts.empty());
    ck_assert_int_eq(vigild->process, getpid());
    ck_assert_uint_eq(vigild->purpose, 0);
}
END_TEST

START_TEST(denied_says_why) {
    FakeVigild vigild;
    vigild->ask_verdict = 0;
    std::strcpy(vigild->ask_text, "not at night");
    PamHost host{vigild, "sudo"};
    ck_assert_int_eq(host.account(PAM_SILENT), PAM_PERM_DENIED);
    ck_assert(host.was_told("vigil: not at night"));
}
END_TEST

START_TEST(a_right_code_opens) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    PamHost host{vigild, "sudo"};
    host.answers = {"123456"};
    ck_assert_int_eq(host.account(PAM_SILENT), PAM_SUCCESS);
    ck_assert_str_eq(host.prompts.at(0).c_str(), "Code for root: ");
    ck_assert_str_eq(vigild->answers[0], "123456");
}
END_TEST

/// After `su - bob` the code is that of whoever logged in, and not sudo's PAM_USER's.
START_TEST(the_question_says_whose_code_it_is) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    std::strcpy(vigild->person, "alice");
    PamHost host{vigild, "sudo"};
    host.answers = {"123456"};
    ck_assert_int_eq(host.account(), PAM_SUCCESS);
    ck_assert_str_eq(host.prompts.at(0).c_str(), "Code for alice: ");
}
END_TEST

START_TEST(a_proof_that_is_not_all_is_followed_by_the_next) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    std::strcpy(vigild->then, "totp");
    PamHost host{vigild, "sudo"};
    host.answers = {"123456", "1", "123456"};
    ck_assert_int_eq(host.account(), PAM_SUCCESS);
    ck_assert_int_eq(vigild->proved, 3);
    ck_assert_uint_eq(host.prompts.size(), 3);
}
END_TEST

START_TEST(a_proof_after_which_nothing_known_is_wanted_is_none) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    std::strcpy(vigild->then, "fingerprint");
    PamHost host{vigild, "sudo"};
    host.answers = {"123456", "123456"};
    ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
    ck_assert_uint_eq(host.prompts.size(), 1);
}
END_TEST

START_TEST(three_wrong_codes_and_no_more) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    PamHost host{vigild, "sudo"};
    host.answers = {"1", "2", "3", "123456"};
    ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
    ck_assert_int_eq(vigild->proved, 3);
    ck_assert_uint_eq(host.prompts.size(), 3);
    ck_assert(host.was_told("That code is not right."));
    ck_assert(std::memcmp(vigild->attempts[0], vigild->attempts[1], 16) != 0);
    ck_assert(std::memcmp(vigild->attempts[1], vigild->attempts[2], 16) != 0);
}
END_TEST

START_TEST(a_second_answer_may_be_right) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    PamHost host{vigild, "su"};
    host.answers = {"654321", "123456"};
    ck_assert_int_eq(host.account(), PAM_SUCCESS);
    ck_assert_str_eq(vigild->run_as, "root");
}
END_TEST

START_TEST(an_answer_sent_again_is_the_same_attempt) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    PamHost host{vigild, "sudo"};
    host.before_answer = [&] {
        vigild->mood = Mood::hangs_up;
        vigild->hang_ups = 1;
    };
    host.answers = {"123456"};
    ck_assert_int_eq(host.account(), PAM_SUCCESS);
    ck_assert_int_eq(vigild->proved, 2);
    ck_assert(std::memcmp(vigild->attempts[0], vigild->attempts[1], 16) == 0);
    ck_assert_str_eq(vigild->answers[1], "123456");
}
END_TEST

START_TEST(vigild_gone_while_a_person_types_refuses) {
    ck_assert_int_eq(setresuid(65534, 0, 0), 0); // as in sudo when alice runs it
    FakeVigild vigild;
    ask_for_proof(vigild);
    PamHost host{vigild, "sudo"};
    host.before_answer = [&] { vigild.remove(); };
    host.answers = {"123456"};
    ck_assert_int_eq(host.account(), PAM_AUTHINFO_UNAVAIL);
    ck_assert(host.was_told("systemctl status vigild"));
}
END_TEST

START_TEST(a_throttled_person_is_told_so_and_not_asked) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    vigild->ask_wait = 30;
    PamHost host{vigild, "sudo"};
    host.answers = {"123456"};
    ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
    ck_assert(host.prompts.empty());
    ck_assert(host.was_told("vigil: Too many wrong answers: try again in 30 s"));
}
END_TEST

START_TEST(throttled_after_an_answer_ends_it) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    vigild->prove_wait = 5;
    PamHost host{vigild, "sudo"};
    host.answers = {"1", "123456"};
    ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
    ck_assert_int_eq(vigild->proved, 1);
    ck_assert(host.was_told("try again in 5 s"));
}
END_TEST

START_TEST(denied_while_proving_says_why) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    vigild->wrong_verdict = 2;
    PamHost host{vigild, "sudo"};
    host.answers = {"1", "123456"};
    ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
    ck_assert(host.was_told("vigil: proof judged"));
    ck_assert_int_eq(vigild->proved, 1);
}
END_TEST

START_TEST(a_factor_unknown_here_is_refused_with_a_line) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    std::strcpy(vigild->factors[0], "key");
    PamHost host{vigild, "sudo"};
    host.answers = {"123456"};
    ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
    ck_assert(host.prompts.empty());
    ck_assert(!host.lines.empty());
}
END_TEST

START_TEST(nobody_to_ask_is_refused_with_a_line) {
    // Whoever runs the tests may have a terminal.
    if (const vigil::base::UniqueFd terminal{open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)})
        ck_assert_int_eq(ioctl(terminal.get(), TIOCNOTTY), 0);
    FakeVigild vigild;
    ask_for_proof(vigild);
    PamHost host{vigild, "sudo"};
    ck_assert_int_eq(host.account(PAM_SILENT), PAM_PERM_DENIED);
    ck_assert(host.was_told("no terminal to ask at"));
    ck_assert_int_eq(vigild->proved, 0);
}
END_TEST

START_TEST(a_broken_conversation_is_refused) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    for (const auto function : {no_answer, nothing_at_all, failing, again}) {
        PamHost host{vigild, "sudo"};
        host.set_conversation(function);
        ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
    }
    PamHost none{vigild, "sudo"};
    none.set_conversation(nullptr);
    ck_assert_int_eq(none.account(), PAM_PERM_DENIED);
    ck_assert_int_eq(vigild->proved, 0);
}
END_TEST

START_TEST(an_unusable_answer_is_never_sent) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    PamHost host{vigild, "sudo"};
    host.answers = {"", std::string(1024 * 1024, '1'), "123456\033[A"};
    ck_assert_int_eq(host.account(), PAM_PERM_DENIED);
    ck_assert_uint_eq(host.prompts.size(), 3);
    PamHost other{vigild, "sudo"};
    other.answers = {std::string(513, '1'), "12\r", "1\0012"};
    ck_assert_int_eq(other.account(), PAM_PERM_DENIED);
    ck_assert_int_eq(vigild->proved, 0);
}
END_TEST

START_TEST(an_answer_that_is_no_utf8_is_no_crash) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    PamHost host{vigild, "sudo"};
    host.answers = {"\377\376\375"};
    ck_assert_int_ne(host.account(), PAM_SUCCESS);
    ck_assert_int_eq(vigild->proved, 0);
}
END_TEST

START_TEST(a_code_opens_a_lock) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    PamHost host{vigild, "vigil-unlock"};
    host.set(PAM_TTY, "/dev/pts/3");
    host.answers = {"123456"};
    ck_assert_int_eq(host.authenticate(), PAM_SUCCESS);
    ck_assert_str_eq(host.prompts.at(0).c_str(), "Code: ");
    ck_assert_str_eq(vigild->terminal, "pts/3");
    ck_assert_uint_eq(vigild->purpose, 1);
    ck_assert_str_eq(pam_getenv(host.handle(), "VIGIL_FACTOR"), "totp");
}
END_TEST

START_TEST(a_password_at_a_lock_goes_to_the_next_module) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    std::strcpy(vigild->factors[1], "password");
    PamHost password{vigild, "vigil-unlock"};
    password.answers = {"correct horse"};
    ck_assert_int_eq(password.authenticate(), ignored);
    ck_assert_str_eq(password.prompts.at(0).c_str(), "Password or code: ");
    ck_assert_int_eq(vigild->proved, 0);
    PamHost digits{vigild, "vigil-unlock"};
    digits.answers = {"654321"};
    ck_assert_int_eq(digits.authenticate(), ignored);
    ck_assert_ptr_null(pam_getenv(digits.handle(), "VIGIL_FACTOR"));
    ck_assert_int_eq(vigild->proved, 1);
}
END_TEST

START_TEST(a_password_is_not_taken_where_it_could_be_read) {
    FakeVigild vigild;
    ask_for_proof(vigild);
    for (const char* const answer : {"correct horse", "654321", "12345", "1234567", ""}) {
        PamHost host{vigild, "vigil-unlock"};
        host.answers = {answer};
        ck_assert_int_eq(host.authenticate(), PAM_AUTH_ERR);
    }
    ck_assert_int_eq(vigild->proved, 1);
}
END_TEST

START_TEST(no_lock_opens_without_a_proof) {
    FakeVigild vigild;
    for (const std::uint32_t verdict : {0u, 1u, 3u}) {
        vigild->ask_verdict = verdict;
        PamHost host{vigild, "vigil-unlock"};
        host.answers = {"123456"};
        ck_assert_int_eq(host.authenticate(), PAM_AUTH_ERR);
    }
    ask_for_proof(vigild);
    PamHost nobody{vigild, "vigil-unlock"};
    ck_assert_int_eq(nobody.authenticate(), PAM_AUTH_ERR);
    std::strcpy(vigild->factors[0], "key");
    PamHost other{vigild, "vigil-unlock"};
    other.answers = {"123456"};
    ck_assert_int_eq(other.authenticate(), PAM_AUTH_ERR);
}
END_TEST

int main() {
    return vigil::test::run("step up",
                            {allowed_and_not_applicable_ask_nothing,
                             denied_says_why,
                             a_right_code_opens,
                             the_question_says_whose_code_it_is,
                             a_proof_that_is_not_all_is_followed_by_the_next,
                             a_proof_after_which_nothing_known_is_wanted_is_none,
                             three_wrong_codes_and_no_more,
                             a_second_answer_may_be_right,
                             an_answer_sent_again_is_the_same_attempt,
                             vigild_gone_while_a_person_types_refuses,
                             a_throttled_person_is_told_so_and_not_asked,
                             throttled_after_an_answer_ends_it,
                             denied_while_proving_says_why,
                             a_factor_unknown_here_is_refused_with_a_line,
                             nobody_to_ask_is_refused_with_a_line,
                             a_broken_conversation_is_refused,
                             an_unusable_answer_is_never_sent,
                             an_answer_that_is_no_utf8_is_no_crash,
                             a_code_opens_a_lock,
                             a_password_at_a_lock_goes_to_the_next_module,
                             a_password_is_not_taken_where_it_could_be_read,
                             no_lock_opens_without_a_proof},
                            {.seconds = 30});
}
