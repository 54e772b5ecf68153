#pragma once
// What can be wrong with vigild: the columns of the fail table, for each entry point.

#include "tests/pam/fake_vigild.hpp"
#include "tests/unit/test.hpp"

#include <chrono>
#include <iterator>

namespace vigil::test {

struct Trouble {
    const char* name;
    Mood mood;
    bool running;
    bool has_file;
};

inline constexpr Trouble troubles[] = {
    {"no socket", Mood::answers, false, false},  {"nobody listens", Mood::answers, false, true},
    {"silent", Mood::silent, true, true},        {"mute", Mood::mute, true, true},
    {"error reply", Mood::refuses, true, true},  {"wrong types", Mood::mistypes, true, true},
    {"no such verdict", Mood::lies, true, true}, {"text too long", Mood::floods, true, true},
    {"no D-Bus", Mood::babbles, true, true},     {"always hangs up", Mood::hangs_up, true, true},
};
inline constexpr int trouble_count = static_cast<int>(std::size(troubles));

inline void make(FakeVigild& vigild, const Trouble& trouble) {
    vigild->mood = trouble.mood;
    vigild->hang_ups = 1000;
    if (!trouble.has_file)
        vigild.remove();
    else if (!trouble.running)
        vigild.stop();
}

/// And not one that hangs, or answers with nonsense.
inline bool is_down(const Trouble& trouble) {
    return !trouble.running || trouble.mood == Mood::hangs_up;
}

inline bool is_timeout(const Trouble& trouble) {
    return trouble.mood == Mood::silent || trouble.mood == Mood::mute;
}

/// The machine's time is 2 s, and half a second of it is a session's whose account phase was
/// another process; what libpam and a busy machine add is not 0.9 s.
inline void check_time(const Trouble& trouble, std::chrono::milliseconds took,
                       std::chrono::milliseconds time = std::chrono::milliseconds{2000}) {
    ck_assert_msg(took < time + std::chrono::milliseconds{900}, "%s took %ld ms", trouble.name,
                  static_cast<long>(took.count()));
    if (is_timeout(trouble))
        ck_assert_msg(took >= time - std::chrono::milliseconds{100}, "%s took only %ld ms",
                      trouble.name, static_cast<long>(took.count()));
}

} // namespace vigil::test
