// An unlock and the answers of terminals that were asked what they show.

#include "tests/unit/core_support.hpp"

using namespace vigil;
using namespace vigil::test;

namespace {

Host locked_host() {
    Host host{policy_of({.idle_lock = 15min})};
    host.login(1, 0s);
    host.lock(1, 1s);
    return host;
}

START_TEST(an_unlock_waits_for_an_answer_that_is_under_way) {
    auto host = locked_host();
    ck_assert(host.step(ScreenAsked{id_of(1), 3}, 2s).empty());
    CHECK_TEXT(kinds(host.step(UnlockAsked{8, id_of(1), "root", {}}, 2s + 100ms)), "StoreSession");
    ck_assert(host.deadline() == 3s);
    CHECK_TEXT(kinds(host.step(ScreenSeen{id_of(1), 3}, 2s + 200ms)), "Unlock");
    CHECK_TEXT(answer(host.step(UnlockDone{id_of(1), true, {}}, 2s + 200ms)), "");
}
END_TEST

START_TEST(an_unlock_waits_for_the_last_of_the_answers_and_no_longer_than_a_second) {
    auto host = locked_host();
    host.step(ScreenAsked{id_of(1), 3}, 2s);
    host.step(ScreenAsked{id_of(1), 4}, 2s + 500ms);
    host.step(UnlockAsked{8, id_of(1), "root", {}}, 2s + 600ms);
    ck_assert(host.deadline() == 3s + 500ms);
    // Somebody else who asks meanwhile waits as well.
    CHECK_TEXT(kinds(host.step(UnlockAsked{9, id_of(1), "totp", {}}, 2s + 700ms)), "ReplyDone");
    ck_assert(host.step(ScreenSeen{id_of(1), 5}, 2s + 700ms).empty()); // nobody asked there
    ck_assert(host.step(ScreenSeen{id_of(1), 4}, 2s + 800ms).empty());
    ck_assert(host.deadline() == 3s); // the other one's
    CHECK_TEXT(kinds(host.tick(3s)), "Unlock");
    ck_assert(host.state(1) == State::unlocking);
    ck_assert_uint_eq(find<ReplyDone>(host.step(UnlockDone{id_of(1), true, {}}, 3s))->token, 9);
    ck_assert(host.step(ScreenSeen{id_of(1), 3}, 3s + 1ms).empty());
}
END_TEST

START_TEST(what_does_not_answer_any_more_is_not_waited_for) {
    auto host = locked_host();
    // Its time is over.
    host.step(ScreenAsked{id_of(1), 3}, 2s);
    // It has answered, or its terminal is gone.
    host.step(ScreenAsked{id_of(1), 4}, 3s);
    host.step(ScreenSeen{id_of(1), 4}, 3s + 1ms);
    CHECK_TEXT(kinds(host.step(UnlockAsked{8, id_of(1), "root", {}}, 3s + 2ms)),
               "StoreSession Unlock");
    // One of an earlier lock, or asked where nothing is locked.
    host.step(UnlockDone{id_of(1), true, {}}, 3s + 3ms);
    ck_assert(host.step(ScreenAsked{id_of(1), 4}, 3s + 4ms).empty());
    host.lock(1, 3s + 5ms);
    CHECK_TEXT(kinds(host.step(UnlockAsked{8, id_of(1), "root", {}}, 3s + 6ms)),
               "StoreSession Unlock");
}
END_TEST

START_TEST(an_unlock_that_fails_does_not_wait_for_answers_again) {
    auto host = locked_host();
    host.step(ScreenAsked{id_of(1), 3}, 2s);
    host.step(UnlockAsked{8, id_of(1), "root", {}}, 2s + 100ms);
    CHECK_TEXT(kinds(host.tick(3s)), "Unlock");
    host.step(UnlockDone{id_of(1), false, "busy"}, 3s);
    ck_assert(host.step(ScreenSeen{id_of(1), 3}, 3s + 1ms).empty());
    CHECK_TEXT(kinds(host.tick(4s)), "Unlock");
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "core: screens", {an_unlock_waits_for_an_answer_that_is_under_way,
                          an_unlock_waits_for_the_last_of_the_answers_and_no_longer_than_a_second,
                          what_does_not_answer_any_more_is_not_waited_for,
                          an_unlock_that_fails_does_not_wait_for_answers_again});
}
