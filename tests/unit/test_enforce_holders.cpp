#include "tests/unit/holding.hpp"

#include <pthread.h>
#include <sys/prctl.h>

using namespace vigil;
using namespace vigil::test;

namespace {

START_TEST(a_holder_outside_is_told_with_its_terminal) {
    const Pty pty;
    const Process reader{owner, [] { return true; }};
    const Process neighbour{owner, [&] { return close_both(pty); }};
    const Process strange{stranger, [] { return true; }};
    auto found = holders(pty);
    ck_assert_uint_eq(found.size(), 2);
    if (strange.pid() < reader.pid()) // numbers began anew
        std::swap(found[0], found[1]);
    ck_assert_int_eq(found[0].pid, reader.pid());
    ck_assert_uint_eq(found[0].uid, owner);
    CHECK_TEXT(found[0].path, pty.terminal.path);
    ck_assert_int_eq(found[1].pid, strange.pid());
}
END_TEST

START_TEST(a_holder_that_hides_its_owner_is_told) {
    const Pty pty;
    const Process effectively_roots{0, [] { return ::setresuid(owner, 0, 0) == 0; }};
    const Process secretive{0, [] { return ::setuid(owner) == 0; }};
    const auto found = holders(pty);
    ck_assert_uint_eq(found.size(), 2);
}
END_TEST

void* hold_in_a_thread(void* told) {
    if (::unshare(CLONE_FILES) < 0)
        ::_exit(1);
    *static_cast<volatile bool*>(told) = true;
    while (true)
        ::pause();
    return nullptr;
}

/// The terminal is open in a thread of its own table alone.
bool hide_in_a_thread(const Pty& pty) {
    static volatile bool unshared = false;
    pthread_t thread;
    if (::pthread_create(&thread, nullptr, hold_in_a_thread, const_cast<bool*>(&unshared)) != 0)
        return false;
    while (!unshared)
        ::usleep(1000);
    return close_both(pty);
}

START_TEST(a_descriptor_in_a_threads_own_table_is_seen) {
    const Pty pty;
    const Process reader{owner, [&] { return hide_in_a_thread(pty); }};
    const auto found = holders(pty);
    ck_assert_uint_eq(found.size(), 1);
    ck_assert_int_eq(found[0].pid, reader.pid());
    CHECK_TEXT(found[0].path, pty.terminal.path);
    move_to_scope(reader.pid());
    ck_assert(users(pty) == std::vector{reader.pid()});
}
END_TEST

START_TEST(threads_that_share_their_descriptors_cost_little) {
    const Pty pty;
    const auto wait = [](void*) -> void* {
        while (true)
            ::pause();
    };
    const Process busy{owner, [&] {
                           const int file = ::open("/dev/null", O_RDONLY);
                           for (int i = 0; i < 1000; ++i)
                               if (::fcntl(file, F_DUPFD, 0) < 0)
                                   return false;
                           pthread_t thread;
                           for (int i = 0; i < 100; ++i)
                               if (::pthread_create(&thread, nullptr, wait, nullptr) != 0)
                                   return false;
                           return close_both(pty);
                       }};
    ck_assert(holders(pty).empty());
}
END_TEST

START_TEST(a_descriptor_opened_as_dev_tty_is_seen) {
    const Pty pty;
    const Process reader{owner, [&] {
                             if (::ioctl(pty.slave.get(), TIOCSCTTY, 0) < 0 ||
                                 ::open("/dev/tty", O_RDONLY) < 0)
                                 return false;
                             return close_both(pty);
                         }};
    const auto found = holders(pty);
    ck_assert_uint_eq(found.size(), 1);
    CHECK_TEXT(found[0].path, pty.terminal.path);
}
END_TEST

START_TEST(one_that_there_is_no_time_to_look_through_is_told_as_such) {
    const Pty pty;
    const auto heaped = make_heaps(owner, pty);
    const Process plain{owner, [&] { return close_both(pty); }};
    const auto found = holders(pty);
    ck_assert_uint_eq(found.size(), 1);
    ck_assert_int_eq(found[0].pid, last_of(heaped));
    CHECK_TEXT(found[0].path, "");
}
END_TEST

START_TEST(a_strangers_heap_of_files_takes_nothing_from_others) {
    const Pty pty;
    const auto heaped = make_heaps(stranger, pty);
    ck_assert(holders(pty).empty());
    const Process reader{owner, [] { return true; }};
    ck_assert_uint_eq(holders(pty).size(), 1);
}
END_TEST

/// Without a scope of its own: nothing is inside.
enforce::HolderQuestion elsewhere(const Pty& pty, uid_t user = owner) {
    return {.scope = scope() + "-gone", .owner = user, .terminals = {pty.terminal}};
}

START_TEST(one_look_answers_for_several_sessions_each_by_itself) {
    const Pty own;
    const Pty others;
    const Process inside{owner, [] { return true; }}; // has both open
    const Process neighbour{stranger, [&] { return close_both(own); }};
    const Process plain{owner, [&] { return close_both(own) && close_both(others); }};
    move_to_scope(inside.pid());
    const auto found = enforce::foreign_holders(
        {{scope(), owner, {own.terminal}}, elsewhere(others), elsewhere(others, stranger)});
    ck_assert_uint_eq(found.size(), 3);
    ck_assert(found[0]->empty());
    for (const std::size_t session : {1, 2}) {
        ck_assert_uint_eq(found[session]->size(), 2);
        for (const auto& holder : *found[session]) {
            ck_assert(holder.pid == inside.pid() || holder.pid == neighbour.pid());
            CHECK_TEXT(holder.path, others.terminal.path);
        }
    }
    ck_assert(enforce::foreign_holders({}).empty());
}
END_TEST

START_TEST(a_heap_in_one_session_leaves_the_users_others_without_an_answer_in_one_look) {
    const Pty own;
    const auto heaped = make_heaps(owner, own);
    for (const auto& one : heaped)
        move_to_scope(one->pid());
    const Pty others;
    const Pty strangers;
    const Process reader{stranger, [] { return true; }}; // has all open
    const auto found = enforce::foreign_holders(
        {{scope(), owner, {own.terminal}}, elsewhere(others), elsewhere(strangers, stranger)});
    ck_assert(!found[1]);
    ck_assert_uint_eq(found[2]->size(), 1);
    ck_assert_int_eq(found[2]->front().pid, reader.pid());
    // Alone it has none of its user's: what it runs itself is not looked through.
    ck_assert_uint_eq(std::ranges::count(holders(own), owner, &enforce::ForeignHolder::uid), 0);
    const auto alone = enforce::foreign_holders({elsewhere(others)}).front().value();
    ck_assert(std::ranges::count(alone, last_of(heaped), &enforce::ForeignHolder::pid) == 1);
}
END_TEST

START_TEST(no_more_holders_are_told_than_the_bound) {
    const Pty pty;
    std::vector<std::unique_ptr<Process>> many;
    for (std::size_t i = 0; i < enforce::max_holders + 5; ++i)
        many.push_back(std::make_unique<Process>(owner, [] { return true; }));
    ck_assert_uint_eq(holders(pty).size(), enforce::max_holders);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "holders",
        {a_holder_outside_is_told_with_its_terminal, a_holder_that_hides_its_owner_is_told,
         a_descriptor_in_a_threads_own_table_is_seen,
         threads_that_share_their_descriptors_cost_little, a_descriptor_opened_as_dev_tty_is_seen,
         one_that_there_is_no_time_to_look_through_is_told_as_such,
         a_strangers_heap_of_files_takes_nothing_from_others,
         one_look_answers_for_several_sessions_each_by_itself,
         a_heap_in_one_session_leaves_the_users_others_without_an_answer_in_one_look,
         no_more_holders_are_told_than_the_bound},
        {.before = test::make_scope, .after = test::remove_scope, .seconds = 30});
}
