// The cgroups of elevated sessions, in a real tree: held, frozen with their login, given back, and
// killed.

#include "daemon/enforce/elevated.hpp"
#include "tests/unit/scope_help.hpp"

#include <algorithm>

using namespace vigil;
using test::directory;
using test::scope;

namespace {

const std::string id(32, 'a');
const std::string inner_id(32, 'b');

std::string own() {
    return scope() + "/" + core::elevated_cgroup + id;
}

std::string inner() {
    return own() + "/" + core::elevated_cgroup + inner_id;
}

std::string held(const std::string& cgroup) {
    return scope() + "/" + enforce::frozen_child + cgroup.substr(scope().size());
}

base::Process process_of(pid_t pid) {
    const auto stat = base::read_process_stat(pid);
    CHECK_OK(stat);
    return {.pid = pid, .start_time = stat->start_time};
}

std::string cgroup_of(pid_t pid) {
    const auto cgroup = base::cgroup_of(pid);
    CHECK_OK(cgroup);
    return *cgroup;
}

bool ended_by(pid_t pid, int signal) {
    int status = 0;
    ck_assert_int_eq(::waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == signal;
}

pid_t in(const std::string& cgroup) {
    const pid_t pid = test::start([] {});
    CHECK_OK(enforce::hold_elevated(cgroup, process_of(pid)));
    CHECK_TEXT(cgroup_of(pid), cgroup);
    return pid;
}

void clean() {
    enforce::kill_scope(scope());
    while (::waitpid(-1, nullptr, 0) > 0)
        ;
    CHECK_OK(enforce::remove_elevated(own()));
    test::remove_scope();
}

START_TEST(what_part_a_cgroup_is_of) {
    const std::string part = "/vigil-elevated-1";
    for (const char* child : {"", "/vigil-lock", "/vigil-work", "/vigil-connection"}) {
        CHECK_TEXT(enforce::elevated_part("/a.scope", "/a.scope" + std::string{child}), "");
        CHECK_TEXT(enforce::elevated_part("/a.scope", "/a.scope" + std::string{child} + part),
                   part);
        CHECK_TEXT(enforce::elevated_part("/a.scope",
                                          "/a.scope" + std::string{child} + part + part + "/x"),
                   part + part);
    }
    CHECK_TEXT(enforce::elevated_part("/a.scope", "/b.scope" + part), "");
    CHECK_TEXT(enforce::elevated_part("/a.scope", "/a.scope/x" + part), "");
    CHECK_TEXT(enforce::elevated_part("", part), "");
    ck_assert_uint_eq(enforce::elevated_depth(part + part), 2);
    ck_assert_uint_eq(enforce::elevated_depth(""), 0);
}
END_TEST

START_TEST(all_that_it_starts_is_in_there_and_one_in_another_too) {
    const pid_t first = in(own());
    const pid_t second = in(inner());
    ck_assert(!enforce::is_elevated_gone(own()) && !enforce::is_elevated_gone(inner()));
    CHECK_OK(enforce::kill_elevated(own(), std::nullopt));
    ck_assert(ended_by(first, SIGKILL) && ended_by(second, SIGKILL));
    ck_assert(enforce::is_elevated_gone(own()));
    CHECK_OK(enforce::remove_elevated(own()));
    ck_assert_int_ne(::access((directory() + own().substr(scope().size())).c_str(), F_OK), 0);
}
END_TEST

START_TEST(the_front_is_spared_and_let_out) {
    const pid_t front = in(own());
    const pid_t command = in(own());
    enforce::signal_elevated(own(), process_of(front));
    int status = 0; // by whichever of the two it came to first
    ck_assert_int_eq(::waitpid(command, &status, 0), command);
    ck_assert(WIFSIGNALED(status) && (WTERMSIG(status) == SIGHUP || WTERMSIG(status) == SIGTERM));
    const pid_t other = in(own());
    CHECK_OK(enforce::kill_elevated(own(), process_of(front)));
    ck_assert(ended_by(other, SIGKILL));
    CHECK_TEXT(cgroup_of(front), scope());
    ck_assert(enforce::is_elevated_gone(own()));
}
END_TEST

START_TEST(a_lock_keeps_it_apart_and_gives_it_back) {
    const pid_t first = in(own());
    const pid_t second = in(inner());
    const pid_t beside = in(own());
    CHECK_OK(enforce::make_frozen_child(scope()));
    CHECK_OK(enforce::move_to_frozen(scope(), first));
    CHECK_OK(enforce::move_to_frozen(scope(), second));
    CHECK_TEXT(cgroup_of(first), held(own()));
    CHECK_TEXT(cgroup_of(second), held(inner()));
    const auto frozen = enforce::freeze(scope(), Seconds{2});
    ck_assert(frozen && *frozen);
    ck_assert(!enforce::is_elevated_gone(inner()));
    CHECK_OK(enforce::thaw(scope()));
    CHECK_TEXT(cgroup_of(first), own());
    CHECK_TEXT(cgroup_of(second), inner());
    CHECK_TEXT(cgroup_of(beside), own());
    ck_assert_int_ne(::access((directory() + "/" + enforce::frozen_child).c_str(), F_OK), 0);
}
END_TEST

START_TEST(it_ends_behind_the_lock_and_nothing_else_does) {
    const pid_t front = in(own());
    const pid_t command = in(own());
    const pid_t shell = test::start_in_scope([] {});
    CHECK_OK(enforce::make_frozen_child(scope()));
    for (const pid_t pid : {front, command, shell})
        CHECK_OK(enforce::move_to_frozen(scope(), pid));
    ck_assert(*enforce::freeze(scope(), Seconds{2}));
    CHECK_OK(enforce::kill_elevated(own(), process_of(front)));
    ck_assert(ended_by(command, SIGKILL));
    CHECK_TEXT(cgroup_of(front), scope() + "/" + enforce::frozen_child);
    ck_assert(enforce::is_frozen(scope()));
    ck_assert(enforce::is_elevated_gone(own()));
    CHECK_OK(enforce::remove_elevated(own()));
    CHECK_OK(enforce::thaw(scope()));
    CHECK_TEXT(cgroup_of(front), scope());
    CHECK_TEXT(cgroup_of(shell), scope());
}
END_TEST

START_TEST(what_is_gone_meanwhile_is_no_error) {
    ck_assert(enforce::is_elevated_gone(own()));
    CHECK_OK(enforce::kill_elevated(own(), std::nullopt));
    enforce::signal_elevated(own(), std::nullopt);
    CHECK_OK(enforce::remove_elevated(own()));
    const pid_t pid = test::start([] {});
    const auto process = process_of(pid);
    ck_assert_int_eq(::kill(pid, SIGKILL), 0);
    ck_assert(ended_by(pid, SIGKILL));
    CHECK_OK(enforce::hold_elevated(own(), process));
    ck_assert(enforce::is_elevated_gone(own()));
    ck_assert(!enforce::hold_elevated(scope(), process).has_value());
}
END_TEST

START_TEST(who_waits_for_what_it_started_is_told_by_service_and_company) {
    core::SessionRecord record;
    record.cgroup = own();
    record.facts.service = "sudo";
    const pid_t front = in(own());
    record.leader = process_of(front);
    ck_assert_msg(!enforce::front_of(record).has_value(), "nobody is there to wait for");
    in(own());
    ck_assert(enforce::front_of(record) == record.leader);
    record.facts.service = "polkit-1";
    ck_assert(!enforce::front_of(record).has_value());
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "enforce_elevated",
        {what_part_a_cgroup_is_of, all_that_it_starts_is_in_there_and_one_in_another_too,
         the_front_is_spared_and_let_out, a_lock_keeps_it_apart_and_gives_it_back,
         it_ends_behind_the_lock_and_nothing_else_does, what_is_gone_meanwhile_is_no_error,
         who_waits_for_what_it_started_is_told_by_service_and_company},
        {.before = vigil::test::make_scope, .after = clean});
}
