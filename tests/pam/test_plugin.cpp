// The plugin as sudo has it in its process: its cells of the fail table, what it asks vigild, and
// what sudo may tell it that no sudo of today does.

#include "tests/pam/pam_host.hpp"
#include "tests/pam/sudo_host.hpp"
#include "tests/pam/troubles.hpp"
#include "wire/names.hpp"
#include "wire/observing.hpp"

#include <cstring>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace vigil::test;

namespace {

constexpr int yes = 1;
constexpr int no = 0;
constexpr std::uint32_t ask_prove = 2;

SudoRun by_root() {
    SudoRun run;
    run.user = "root";
    run.uid = 0;
    return run;
}

} // namespace

START_TEST(without_an_answer_nobody_runs_anything) {
    const Trouble& trouble = troubles[_i];
    FakeVigild vigild;
    make(vigild, trouble);
    SudoHost sudo{vigild};
    int answer = -2;
    const auto took = time_of([&] { answer = sudo.approve(); });
    ck_assert_msg(answer == no, "%s: %d", trouble.name, answer);
    check_time(trouble, took);
    ck_assert(sudo.was_told("vigil: vigild cannot be asked") &&
              sudo.was_told("systemctl status vigild"));
    ck_assert(sudo.prompts.empty());
}
END_TEST

START_TEST(without_an_answer_root_does_as_ever) {
    FakeVigild vigild;
    make(vigild, troubles[_i]);
    SudoHost sudo{vigild};
    ck_assert_int_eq(sudo.approve(by_root()), yes);
    ck_assert(sudo.lines.empty());
}
END_TEST

START_TEST(a_blocked_user_runs_nothing_where_vigild_cannot_be_asked) {
    const Trouble& trouble = troubles[_i];
    FakeVigild vigild;
    std::filesystem::create_directory(vigild.directory() + "/blocked");
    std::ofstream{vigild.directory() + "/blocked/65534"} << "nobody is blocked: gone\x1b\n";
    make(vigild, trouble);
    SudoHost sudo{vigild};
    SudoRun lenient;
    lenient.options = {"unavailable=allow"};
    ck_assert_int_eq(sudo.approve(lenient), no);
    ck_assert(sudo.was_told("vigil: nobody is blocked: gone\\x1b"));
    ck_assert_int_eq(sudo.approve(by_root()), yes);
}
END_TEST

START_TEST(where_vigil_only_observes_everybody_runs_what_he_likes) {
    FakeVigild vigild;
    std::filesystem::create_directory(vigild.directory() + "/blocked");
    std::ofstream{vigild.directory() + "/blocked/65534"} << "nobody is blocked: gone\n";
    std::ofstream{vigild.directory() + "/" + vigil::wire::observing_mark};
    make(vigild, troubles[_i]);
    SudoHost sudo{vigild};
    ck_assert_int_eq(sudo.approve(), yes);
    ck_assert(sudo.lines.empty());
}
END_TEST

START_TEST(where_no_mark_can_be_looked_for_root_alone_runs_something) {
    FakeVigild vigild;
    vigild.remove();
    std::ofstream{vigild.directory() + "/blocked"};
    SudoHost sudo{vigild};
    SudoRun lenient;
    lenient.options = {"unavailable=allow"};
    ck_assert_int_eq(sudo.approve(lenient), no);
    ck_assert(sudo.was_told("cannot be told who is blocked"));
    ck_assert_int_eq(sudo.approve(by_root()), yes);
}
END_TEST

START_TEST(an_answer_that_fails_behind_the_question_is_a_no) {
    const Trouble& trouble = troubles[_i];
    FakeVigild vigild;
    vigild->ask_verdict = ask_prove;
    SudoHost sudo{vigild};
    // In mid-question: it is fine when it is asked, and not when it is answered.
    sudo.before_answer = [&] { make(vigild, trouble); };
    sudo.answers = {"123456"};
    ck_assert_msg(sudo.approve() == no, "%s", trouble.name);
    ck_assert_uint_eq(sudo.prompts.size(), 1);
    ck_assert(sudo.was_told("vigil: vigild cannot be asked") &&
              sudo.was_told("systemctl status vigild"));
}
END_TEST

START_TEST(a_restart_of_vigild_is_waited_out) {
    FakeVigild vigild;
    vigild->mood = Mood::hangs_up;
    vigild->hang_ups = 2;
    ck_assert_int_eq(SudoHost(vigild).approve(), yes);
}
END_TEST

START_TEST(what_vigild_says_is_done) {
    FakeVigild vigild;
    SudoHost sudo{vigild};
    for (const std::uint32_t verdict : {1, 3}) {
        vigild->ask_verdict = verdict;
        ck_assert_int_eq(sudo.approve(), yes);
    }
    vigild->ask_verdict = 0;
    std::strcpy(vigild->ask_text, "not at night\x1b[2J");
    ck_assert_int_eq(sudo.approve(), no);
    ck_assert(sudo.was_told("vigil: not at night\\x1b[2J"));
    ck_assert(sudo.prompts.empty());
}
END_TEST

START_TEST(the_command_is_asked_about_as_it_will_run) {
    FakeVigild vigild;
    SudoHost sudo{vigild};
    SudoRun run;
    run.command_info = {"command=/bin/../bin/id", "runas_uid=65534", "runas_gid=65534"};
    run.argv = {"never this", "-un", ""};
    ck_assert_int_eq(sudo.approve(run), yes);
    CHECK_TEXT(vigild->path, "/usr/bin/id");
    CHECK_TEXT(vigild->first_argument, "-un");
    ck_assert_int_eq(vigild->arguments, 2);
    CHECK_TEXT(vigild->run_as, "nobody");
    CHECK_TEXT(vigild->user, "nobody");
    CHECK_TEXT(vigild->service, "sudo");
    ck_assert(vigild->settled && !vigild->cut && !vigild->edits);
    ck_assert_int_eq(vigild->process, getpid());
}
END_TEST

START_TEST(another_group_is_nobodys_own) {
    FakeVigild vigild;
    SudoHost sudo{vigild};
    SudoRun run;
    run.command_info = {"command=/usr/bin/id", "runas_uid=65534", "runas_gid=0"};
    ck_assert_int_eq(sudo.approve(run), yes);
    CHECK_TEXT(vigild->run_as, "");
}
END_TEST

START_TEST(a_folder_of_ones_own_settles_nothing) {
    char folder[] = "/tmp/vigil-plugin-XXXXXX";
    ck_assert_ptr_nonnull(::mkdtemp(folder));
    const std::string link = std::string{folder} + "/id";
    ck_assert_int_eq(::symlink("/usr/bin/id", link.c_str()), 0);
    ck_assert_int_eq(::chown(folder, 65534, 65534), 0);
    FakeVigild vigild;
    SudoHost sudo{vigild};
    SudoRun run;
    run.command_info[0] = "command=" + link;
    ck_assert_int_eq(sudo.approve(run), yes);
    CHECK_TEXT(vigild->path, "/usr/bin/id");
    ck_assert(!vigild->settled);
    ::unlink(link.c_str());
    ::rmdir(folder);
}
END_TEST

START_TEST(an_environment_of_ones_own_settles_nothing) {
    FakeVigild vigild;
    SudoHost sudo{vigild};
    const auto settled = [&](std::vector<std::string> environment) {
        SudoRun run;
        run.environment = std::move(environment);
        ck_assert_int_eq(sudo.approve(run), yes);
        return vigild->settled;
    };
    ck_assert(settled({}));
    ck_assert(
        settled({"PATH=/usr/local/sbin:/no/such/folder:/bin", "HOME=/root", "TZ=UTC", "SUDO_USER=x",
                 "LC_ALL=C", "SHELL=/bin/sh", "XAUTHORITY=/tmp/x", "MAIL=/x"}));
    for (const char* own :
         {"LD_PRELOAD=/tmp/x.so", "LD_LIBRARY_PATH=/tmp", "BASH_ENV=x", "ENV=x", "PATH=/tmp:/bin",
          "PATH=", "PATH=.", "PATH=/bin:", "PATH=/tmp/no-such-folder", "HOME=/tmp", "TZ=/tmp/x",
          "LANG=../x", "LC_ALL=%x", "SHELL=/tmp/sh", "SHELL=sh", "PYTHONPATH=", "X", "",
          "LD_PRELOAD=/tmp/x.so:/usr/libexec/sudo/sudo_intercept.so"})
        ck_assert_msg(!settled({own}), "%s", own);
}
END_TEST

START_TEST(a_link_of_procs_leads_nowhere) {
    FakeVigild vigild;
    SudoHost sudo{vigild};
    for (const char* path : {"/proc/self/root/usr/bin/id", "/proc/self/exe", "/usr/bin/no-such"}) {
        SudoRun run;
        run.command_info[0] = std::string{"command="} + path;
        ck_assert_int_eq(sudo.approve(run), yes);
        CHECK_TEXT(vigild->path, "");
        ck_assert(!vigild->settled);
    }
}
END_TEST

START_TEST(edited_files_are_known_by_their_folders) {
    FakeVigild vigild;
    SudoHost sudo{vigild};
    SudoRun run;
    run.command_info = {"sudoedit=true", "runas_uid=0", "runas_gid=0", "sudoedit_nfiles=1"};
    run.argv = {"vi", "-n", "--", "/etc/../etc/hosts"};
    const auto asked = [&](int arguments, const char* first) {
        ck_assert_int_eq(sudo.approve(run), yes);
        ck_assert(vigild->edits);
        ck_assert_int_eq(vigild->arguments, arguments);
        CHECK_TEXT(vigild->first_argument, first);
    };
    asked(1, "/etc/hosts");
    ck_assert(vigild->settled && !vigild->cut);
    run.command_info.pop_back(); // as a sudo before 1.9.13
    asked(1, "/etc/hosts");
    ck_assert(vigild->settled && !vigild->cut);
    run.argv = {"vi", "/etc/hosts"};
    asked(0, "");
    ck_assert(vigild->cut);
    run.argv = {"vi", "--", "/proc/self/cwd/hosts"};
    asked(0, "");
    ck_assert(vigild->cut);
    run.command_info.emplace_back("sudoedit_follow=true");
    run.argv = {"vi", "--", "/etc/mtab"}; // a link: it and where it leads
    asked(2, "/etc/mtab");
    ck_assert(!vigild->settled && !vigild->cut);
}
END_TEST

START_TEST(what_a_command_starts_is_where_that_one_is) {
    FakeVigild vigild;
    SudoHost sudo{vigild};
    SudoRun run;
    run.command_info = {"command=./id", "runas_uid=0", "runas_gid=0", "cwd=/", "runcwd=/usr/bin"};
    ck_assert_int_eq(sudo.approve(run), yes);
    CHECK_TEXT(vigild->path, "/usr/bin/id");
}
END_TEST

START_TEST(a_login_shell_is_another_service) {
    FakeVigild vigild;
    SudoHost sudo{vigild};
    SudoRun run;
    run.settings = {"login_shell=true"};
    ck_assert_int_eq(sudo.approve(run), yes);
    CHECK_TEXT(vigild->service, "sudo-i");
}
END_TEST

START_TEST(unavailable_allow_lets_pass_and_no_more) {
    FakeVigild vigild;
    SudoHost sudo{vigild};
    SudoRun run;
    run.options = {"unavailable=allow"};
    vigild->ask_verdict = 0;
    ck_assert_int_eq(sudo.approve(run), no);
    vigild.remove();
    ck_assert_int_eq(sudo.approve(run), yes);
    run.options = {"unavailable=deny"};
    ck_assert_int_eq(sudo.approve(run), no);
}
END_TEST

START_TEST(unavailable_allow_is_for_a_vigild_that_is_down) {
    const Trouble& trouble = troubles[_i];
    FakeVigild vigild;
    make(vigild, trouble);
    SudoHost sudo{vigild};
    SudoRun run;
    run.options = {"unavailable=allow"};
    const int answer = sudo.approve(run);
    ck_assert_msg(answer == (is_down(trouble) ? yes : no), "%s: %d", trouble.name, answer);
}
END_TEST

START_TEST(more_than_a_message_carries_is_said_to_be_cut) {
    FakeVigild vigild;
    SudoHost sudo{vigild};
    SudoRun run;
    run.argv.assign(vigil::wire::max_arguments + 2, "x");
    ck_assert_int_eq(sudo.approve(run), yes);
    ck_assert(vigild->cut);
    ck_assert_int_eq(vigild->arguments, static_cast<int>(vigil::wire::max_arguments));
    run.argv = {"id", std::string(vigil::wire::max_arguments_bytes + 1, 'x')};
    ck_assert_int_eq(sudo.approve(run), yes);
    ck_assert(vigild->cut);
    ck_assert_int_eq(vigild->arguments, 0);
}
END_TEST

START_TEST(what_sudo_does_not_say_is_no_yes) {
    FakeVigild vigild;
    SudoHost sudo{vigild};
    for (const char* uid :
         {"runas_gid=0", "runas_uid=-1", "runas_uid=4294967295", "runas_uid=0x0", "runas_uid="}) {
        SudoRun run;
        run.command_info = {"command=/usr/bin/id", "runas_gid=0", uid};
        ck_assert_msg(sudo.approve(run) == no, "%s", uid);
    }
    ck_assert_int_eq(vigild->asked, 0);
}
END_TEST

START_TEST(a_sudo_that_is_too_new_does_not_run_with_it) {
    FakeVigild vigild;
    SudoHost sudo{vigild};
    ck_assert_int_eq(sudo.open({}, SUDO_API_MKVERSION(SUDO_API_VERSION_MAJOR + 1, 0)), -1);
}
END_TEST

START_TEST(a_right_code_is_a_yes_and_goes_to_vigild_with_the_command) {
    FakeVigild vigild;
    vigild->ask_verdict = ask_prove;
    SudoHost sudo{vigild};
    sudo.answers = {"000000", "123456"};
    ck_assert_int_eq(sudo.approve(), yes);
    CHECK_TEXT(sudo.prompts.at(0), "Code for nobody: ");
    ck_assert_uint_eq(sudo.prompts.size(), 2);
    ck_assert(sudo.was_told("That code is not right."));
    ck_assert_int_eq(vigild->proved, 2);
    ck_assert(std::memcmp(vigild->attempts[0], vigild->attempts[1], 16) != 0);
    CHECK_TEXT(vigild->path, "/usr/bin/id");
}
END_TEST

START_TEST(three_wrong_codes_are_a_no) {
    FakeVigild vigild;
    vigild->ask_verdict = ask_prove;
    SudoHost sudo{vigild};
    sudo.answers = {"000000", "000001", "000002", "123456"};
    ck_assert_int_eq(sudo.approve(), no);
    ck_assert_int_eq(vigild->proved, 3);
    ck_assert(sudo.was_told("no right code in 3"));
}
END_TEST

START_TEST(too_many_wrong_codes_are_waited_for_by_nobody) {
    FakeVigild vigild;
    vigild->ask_verdict = ask_prove;
    vigild->prove_wait = 30;
    SudoHost sudo{vigild};
    sudo.answers = {"000000", "123456"};
    ck_assert_int_eq(sudo.approve(), no);
    ck_assert_int_eq(vigild->proved, 1);
    ck_assert(sudo.was_told("try again in 30 s"));
    vigild->ask_wait = 25;
    ck_assert_int_eq(sudo.approve(), no);
    ck_assert(sudo.was_told("try again in 25 s") && sudo.prompts.size() == 1);
}
END_TEST

START_TEST(with_nobody_to_ask_the_answer_is_at_once) {
    FakeVigild vigild;
    vigild->ask_verdict = ask_prove;
    SudoHost sudo{vigild};
    SudoRun run;
    run.may_ask = false;
    ck_assert_int_eq(sudo.approve(run), no);
    ck_assert(sudo.prompts.empty() && sudo.was_told("with -n nobody is asked"));
    // As on Ctrl-C.
    ck_assert_int_eq(sudo.approve(), no);
    ck_assert_int_eq(vigild->proved, 0);
    ck_assert_uint_eq(sudo.lines.size(), 2);
}
END_TEST

START_TEST(what_is_no_answer_is_not_sent) {
    FakeVigild vigild;
    vigild->ask_verdict = ask_prove;
    SudoHost sudo{vigild};
    for (const std::string& answer :
         {std::string{}, std::string(vigil::wire::max_answer_bytes + 1, '1'),
          std::string{"1\x1b"}}) {
        sudo.answers = {answer, answer, answer, "123456"};
        ck_assert_int_eq(sudo.approve(), no);
    }
    ck_assert_int_eq(vigild->proved, 0);
    ck_assert(sudo.was_told("That code is not right.") && sudo.was_told("no right code in 3."));
}
END_TEST

START_TEST(a_factor_that_cannot_be_typed_is_not_asked_for) {
    FakeVigild vigild;
    vigild->ask_verdict = ask_prove;
    std::strcpy(vigild->factors[0], "key");
    SudoHost sudo{vigild};
    ck_assert_int_eq(sudo.approve(), no);
    ck_assert(sudo.prompts.empty() &&
              sudo.was_told("none that counts can be given here. There is no ssh agent to ask "));
}
END_TEST

int main() {
    return vigil::test::run(
        "plugin",
        {{without_an_answer_nobody_runs_anything, 0, trouble_count},
         {without_an_answer_root_does_as_ever, 0, trouble_count},
         {a_blocked_user_runs_nothing_where_vigild_cannot_be_asked, 0, trouble_count},
         {where_vigil_only_observes_everybody_runs_what_he_likes, 0, trouble_count},
         where_no_mark_can_be_looked_for_root_alone_runs_something,
         {an_answer_that_fails_behind_the_question_is_a_no, 0, trouble_count},
         a_restart_of_vigild_is_waited_out,
         what_vigild_says_is_done,
         the_command_is_asked_about_as_it_will_run,
         another_group_is_nobodys_own,
         a_folder_of_ones_own_settles_nothing,
         an_environment_of_ones_own_settles_nothing,
         a_link_of_procs_leads_nowhere,
         edited_files_are_known_by_their_folders,
         what_a_command_starts_is_where_that_one_is,
         a_login_shell_is_another_service,
         unavailable_allow_lets_pass_and_no_more,
         {unavailable_allow_is_for_a_vigild_that_is_down, 0, trouble_count},
         more_than_a_message_carries_is_said_to_be_cut,
         what_sudo_does_not_say_is_no_yes,
         a_sudo_that_is_too_new_does_not_run_with_it,
         a_right_code_is_a_yes_and_goes_to_vigild_with_the_command,
         three_wrong_codes_are_a_no,
         too_many_wrong_codes_are_waited_for_by_nobody,
         with_nobody_to_ask_the_answer_is_at_once,
         what_is_no_answer_is_not_sent,
         a_factor_that_cannot_be_typed_is_not_asked_for},
        {.seconds = 30});
}
