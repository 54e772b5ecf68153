// Who ever had a factor, and how much of the time to enrol is over for who never had one.

#include "daemon/factors/state.hpp"

#include <algorithm>
#include <cerrno>

namespace vigil::factors {

namespace {

struct Person {
    bool had_factor = false;
    bool met = false;
    Microseconds used{0};
    WallTime looked{};
    BootTime looked_boot{};
    std::string boot;
};

Result<Person> person_of(Factors::State& s, std::uint32_t uid) {
    const base::Running running{s.find_person};
    if (const auto done = s.find_person.bind(1, std::int64_t{uid}); !done)
        return std::unexpected{done.error()};
    const auto row = s.find_person.step();
    if (!row)
        return std::unexpected{row.error()};
    if (!*row)
        return Person{};
    return Person{.had_factor = s.find_person.integer(0) != 0,
                  .met = s.find_person.integer(1) != 0,
                  .used = Microseconds{s.find_person.integer(2)},
                  .looked = WallTime{Microseconds{s.find_person.integer(3)}},
                  .looked_boot = BootTime{Microseconds{s.find_person.integer(4)}},
                  .boot = std::string{s.find_person.text(5)}};
}

Result<> check_room(Factors::State& s) {
    const base::Running running{s.count_graces};
    const auto row = s.count_graces.step();
    if (!row)
        return std::unexpected{row.error()};
    if (s.count_graces.integer(0) >= max_graces)
        return fail(EDQUOT, "no more persons are given time to enrol");
    return {};
}

} // namespace

Result<bool> Factors::had_factor(std::uint32_t uid) {
    if (const auto sound = state_->watch.check(); !sound)
        return std::unexpected{sound.error()};
    const auto person = person_of(*state_, uid);
    if (!person)
        return std::unexpected{person.error()};
    return person->had_factor;
}

Result<std::optional<Seconds>> Factors::grace_used(std::uint32_t uid, const Now& now) {
    State& s = *state_;
    auto transaction = s.begin();
    if (!transaction)
        return std::unexpected{transaction.error()};
    auto person = person_of(s, uid);
    if (!person)
        return std::unexpected{person.error()};
    if (person->had_factor)
        return std::nullopt;
    if (!person->met) {
        if (const auto room = check_room(s); !room)
            return std::unexpected{room.error()};
    } else {
        const bool same_boot = !s.boot_id.empty() && person->boot == s.boot_id;
        const Microseconds since =
            same_boot ? now.boot - person->looked_boot : now.wall - person->looked;
        person->used += std::max(since, Microseconds{0});
    }
    const base::Running putting{s.put_grace};
    if (const auto done =
            bound({s.put_grace.bind(1, std::int64_t{uid}),
                   s.put_grace.bind(2, std::int64_t{person->used.count()}),
                   s.put_grace.bind(3, stamp(now.wall)),
                   s.put_grace.bind(4, std::int64_t{now.boot.time_since_epoch().count()}),
                   s.put_grace.bind(5, s.boot_id)});
        !done)
        return std::unexpected{done.error()};
    if (const auto written = s.put_grace.run(); !written)
        return std::unexpected{written.error()};
    if (const auto committed = transaction->commit(); !committed)
        return std::unexpected{committed.error()};
    return std::chrono::floor<Seconds>(person->used);
}

} // namespace vigil::factors
