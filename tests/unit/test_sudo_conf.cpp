// vigil's lines in sudo.conf.

#include "cli/sudo_conf.hpp"
#include "tests/unit/test.hpp"

using namespace vigil;
using cli::state_of_sudo_conf;
using cli::SudoConf;

namespace {

const std::string texts[] = {"",
                             "Set disable_coredump false\n",
                             "no newline at the end",
                             "\n\n",
                             "# Plugin vigil_approval vigil_approval.so\n",
                             "Plugin sudoers_policy sudoers.so\nPlugin vigil_approvals other.so\n"};

} // namespace

START_TEST(what_was_there_comes_back_to_the_byte) {
    for (const auto& text : texts) {
        ck_assert(state_of_sudo_conf(text) == SudoConf::without);
        const auto with = cli::with_vigil(text);
        ck_assert(state_of_sudo_conf(with) == SudoConf::with);
        ck_assert(with.ends_with(text));
        CHECK_TEXT(cli::without_vigil(with), text);
        const auto lets_pass = cli::with_vigil(text, cli::Unavailable::allow);
        ck_assert(lets_pass.contains(" vigil_approval.so unavailable=allow\n"));
        ck_assert(state_of_sudo_conf(lets_pass) == SudoConf::with);
        CHECK_TEXT(cli::without_vigil(lets_pass), text);
    }
}
END_TEST

START_TEST(lines_that_were_moved_below_others_are_vigils_too) {
    const std::string before = "Set probe_interfaces false\n";
    const auto text = before + cli::with_vigil("Debug sudo /var/log/sudo_debug all@warn\n");
    ck_assert(state_of_sudo_conf(text) == SudoConf::with);
    CHECK_TEXT(cli::without_vigil(text), before + "Debug sudo /var/log/sudo_debug all@warn\n");
}
END_TEST

START_TEST(what_somebody_else_has_changed_or_written_is_known) {
    auto changed = cli::with_vigil("");
    changed.insert(changed.find(cli::sudo_conf_line), "#");
    ck_assert(state_of_sudo_conf(changed) == SudoConf::changed);
    ck_assert(state_of_sudo_conf(cli::sudo_conf_begin) == SudoConf::changed);
    ck_assert(state_of_sudo_conf(cli::sudo_conf_end) == SudoConf::changed);
    ck_assert(state_of_sudo_conf(cli::with_vigil(cli::with_vigil(""))) == SudoConf::changed);
    for (const char* line :
         {"Plugin vigil_approval vigil_approval.so", "pLUGIN vigil_approval x.so",
          "\tPlugin  vigil_approval /x.so socket=/y"}) {
        ck_assert(state_of_sudo_conf(line) == SudoConf::by_hand);
        ck_assert(state_of_sudo_conf(cli::with_vigil(line)) == SudoConf::by_hand);
    }
}
END_TEST

int main() {
    return test::run("sudo.conf", {what_was_there_comes_back_to_the_byte,
                                   lines_that_were_moved_below_others_are_vigils_too,
                                   what_somebody_else_has_changed_or_written_is_known});
}
