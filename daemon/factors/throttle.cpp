#include "daemon/factors/throttle.hpp"

#include <algorithm>

namespace vigil::factors {

namespace {

/// All that is wrong in a row, for the alert; nobody waits for it.
constexpr std::string_view person_lane = "person";
constexpr std::string_view strangers_lane = "strangers";
/// Of the addresses that found no room.
constexpr std::string_view others_place = "others";

std::int64_t number(WallTime time) noexcept {
    return time.time_since_epoch().count();
}

WallTime time_of(std::int64_t number) noexcept {
    return WallTime{Microseconds{number}};
}

} // namespace

Result<Throttle> Throttle::prepare(base::Database& database) {
    Throttle throttle;
    const std::pair<base::Statement*, const char*> statements[] = {
        {&throttle.find_, "SELECT failures, last, not_before, wrong_attempt, proved FROM throttle"
                          " WHERE uid = ?1 AND lane = ?2"},
        {&throttle.put_, "INSERT OR REPLACE INTO throttle VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
        {&throttle.erase_, "DELETE FROM throttle WHERE uid = ?1 AND lane = ?2"},
        // Beside the one that is being proved, those that stay: with a wait, then by their dates.
        {&throttle.drop_places_,
         "DELETE FROM throttle WHERE uid = ?1 AND lane IN (SELECT lane FROM throttle"
         " WHERE uid = ?1 AND proved <> 0 AND lane <> ?2"
         " ORDER BY not_before > ?3 DESC, proved DESC LIMIT -1 OFFSET ?4)"},
        {&throttle.forget_, "DELETE FROM throttle WHERE not_before <= ?1 AND last <= ?2"
                            " AND uid NOT IN (SELECT uid FROM factor)"},
        {&throttle.find_source_, "SELECT failures, last, not_before FROM source WHERE place = ?1"},
        {&throttle.put_source_, "INSERT OR REPLACE INTO source VALUES (?1, ?2, ?3, ?4)"},
        {&throttle.count_sources_, "SELECT count(*) FROM source"},
        // Of a wait far in the future, of a clock that went wrong, there is no way to tell what is
        // left: it is none that can be dropped, and none that stays for years.
        {&throttle.settle_sources_, "UPDATE source SET not_before = ?2, last = ?1"
                                    " WHERE not_before > ?2"},
        {&throttle.drop_source_,
         "DELETE FROM source WHERE place = (SELECT place FROM source WHERE not_before <= ?1"
         " AND place <> 'others'"
         " ORDER BY failures >= ?2, last LIMIT 1) RETURNING place"},
    };
    for (const auto& [statement, sql] : statements) {
        auto prepared = database.prepare(sql);
        if (!prepared)
            return std::unexpected{prepared.error()};
        *statement = std::move(*prepared);
    }
    return throttle;
}

Result<std::optional<Throttle::Row>> Throttle::row(std::uint32_t uid, std::string_view lane) {
    const base::Running running{find_};
    for (const auto& bound : {find_.bind(1, std::int64_t{uid}), find_.bind(2, lane)})
        if (!bound)
            return std::unexpected{bound.error()};
    const auto found = find_.step();
    if (!found)
        return std::unexpected{found.error()};
    if (!*found)
        return std::nullopt;
    return Row{.count = {.failures = find_.integer(0),
                         .last = time_of(find_.integer(1)),
                         .not_before = time_of(find_.integer(2))},
               .wrong_attempt = std::string{find_.blob(3)},
               .proved = time_of(find_.integer(4))};
}

Result<> Throttle::put(std::uint32_t uid, std::string_view lane, const Row& row) {
    const base::Running running{put_};
    for (const auto& bound :
         {put_.bind(1, std::int64_t{uid}), put_.bind(2, lane), put_.bind(3, row.count.failures),
          put_.bind(4, number(row.count.last)), put_.bind(5, number(row.count.not_before)),
          put_.bind_blob(6, row.wrong_attempt), put_.bind(7, number(row.proved))})
        if (!bound)
            return bound;
    return put_.run();
}

/// What is drawn in is written down: otherwise it would be drawn in again and again, and never end.
Result<Throttle::Standing> Throttle::standing(std::uint32_t uid, const Source& source,
                                              WallTime now) {
    Standing standing{.lane = std::string{strangers_lane}};
    std::optional<Row> found;
    if (source.is_own() || source.has_address()) {
        auto own = row(uid, source.place());
        if (!own)
            return std::unexpected{own.error()};
        const bool is_his = source.is_own() || (*own && (*own)->proved != WallTime{} &&
                                                now - (*own)->proved < place_lifetime);
        if (is_his) {
            standing.lane = source.place();
            found = std::move(*own);
        }
    }
    if (standing.lane == strangers_lane) {
        auto together = row(uid, strangers_lane);
        if (!together)
            return std::unexpected{together.error()};
        found = std::move(*together);
        if (const auto done = settle_source(standing, source, now); !done)
            return std::unexpected{done.error()};
    }
    if (found) {
        const Row before = *found;
        found->count = settled(found->count, free_failures, now);
        found->proved = std::min(found->proved, now);
        if (found->count != before.count || found->proved != before.proved)
            if (const auto done = put(uid, standing.lane, *found); !done)
                return std::unexpected{done.error()};
        standing.count = found->count;
        standing.wrong_attempt = std::move(found->wrong_attempt);
    }
    standing.wait = std::max(wait_of(standing.count, now), wait_of(standing.of_source, now));
    return standing;
}

/// Who has no count of his own waits with those that found no room.
Result<> Throttle::settle_source(Standing& standing, const Source& source, WallTime now) {
    if (!source.has_address())
        return {};
    standing.source = source.place();
    for (const std::string_view place : {std::string_view{source.place()}, others_place}) {
        const auto count = count_of(place);
        if (!count)
            return std::unexpected{count.error()};
        if (!*count)
            continue;
        standing.of_source = settled(**count, free_failures_of_source, now);
        return standing.of_source == **count ? Result<>{} : put_source(place, standing.of_source);
    }
    return {};
}

Result<Throttle::Failed> Throttle::failed(std::uint32_t uid, const Standing& before,
                                          std::string_view attempt, WallTime now) {
    const auto place = row(uid, before.lane);
    if (!place)
        return std::unexpected{place.error()};
    const Row counted{.count = one_more(before.count, free_failures, now),
                      .wrong_attempt = std::string{attempt},
                      .proved = *place ? (*place)->proved : WallTime{}};
    if (const auto written = put(uid, before.lane, counted); !written)
        return std::unexpected{written.error()};
    const auto of_source = count_source(before, now);
    if (!of_source)
        return std::unexpected{of_source.error()};
    if (const auto written = noted(uid, now); !written)
        return std::unexpected{written.error()};
    const auto all = in_a_row(uid);
    if (!all)
        return std::unexpected{all.error()};
    return Failed{.wait = std::max(wait_of(counted.count, now), *of_source),
                  .failures = std::max(*all, static_cast<std::uint32_t>(counted.count.failures))};
}

/// What its address has to wait.
Result<Seconds> Throttle::count_source(const Standing& before, WallTime now) {
    if (before.source.empty())
        return Seconds{0};
    std::string_view place = before.source;
    Count count = before.of_source;
    const auto known = count_of(place);
    if (!known)
        return std::unexpected{known.error()};
    if (!*known) {
        const auto room = has_room(now);
        if (!room)
            return std::unexpected{room.error()};
        if (*room)
            count = {};
        else
            place = others_place;
    }
    count = one_more(count, free_failures_of_source, now);
    if (const auto written = put_source(place, count); !written)
        return std::unexpected{written.error()};
    return wait_of(count, now);
}

Result<> Throttle::noted(std::uint32_t uid, WallTime now) {
    const auto before = row(uid, person_lane);
    if (!before)
        return std::unexpected{before.error()};
    Row in_a_row = before->value_or(Row{});
    ++in_a_row.count.failures;
    in_a_row.count.last = now;
    return put(uid, person_lane, in_a_row);
}

Result<std::uint32_t> Throttle::in_a_row(std::uint32_t uid) {
    const auto found = row(uid, person_lane);
    if (!found)
        return std::unexpected{found.error()};
    return static_cast<std::uint32_t>(found->value_or(Row{}).count.failures);
}

Result<> Throttle::succeeded(std::uint32_t uid, const Source& source, WallTime now) {
    for (const std::string_view lane : {person_lane, std::string_view{source.place()}}) {
        if (lane.empty())
            continue;
        const base::Running running{erase_};
        for (const auto& bound : {erase_.bind(1, std::int64_t{uid}), erase_.bind(2, lane)})
            if (!bound)
                return bound;
        if (const auto erased = erase_.run(); !erased)
            return erased;
    }
    if (!source.has_address())
        return {};
    if (const auto written = put(uid, source.place(), Row{.proved = now}); !written)
        return written;
    const base::Running dropping{drop_places_};
    for (const auto& bound :
         {drop_places_.bind(1, std::int64_t{uid}), drop_places_.bind(2, source.place()),
          drop_places_.bind(3, number(now)), drop_places_.bind(4, max_places_per_user - 1)})
        if (!bound)
            return bound;
    return drop_places_.run();
}

Result<> Throttle::forget_unknown(WallTime now) {
    for (const auto& bound :
         {forget_.bind(1, number(now)), forget_.bind(2, number(now - failures_memory))})
        if (!bound)
            return bound;
    return forget_.run();
}

Result<std::optional<Count>> Throttle::count_of(std::string_view place) {
    const base::Running running{find_source_};
    if (const auto bound = find_source_.bind(1, place); !bound)
        return std::unexpected{bound.error()};
    const auto found = find_source_.step();
    if (!found)
        return std::unexpected{found.error()};
    if (!*found)
        return std::nullopt;
    return Count{.failures = find_source_.integer(0),
                 .last = time_of(find_source_.integer(1)),
                 .not_before = time_of(find_source_.integer(2))};
}

Result<> Throttle::put_source(std::string_view place, const Count& count) {
    const base::Running running{put_source_};
    for (const auto& bound :
         {put_source_.bind(1, place), put_source_.bind(2, count.failures),
          put_source_.bind(3, number(count.last)), put_source_.bind(4, number(count.not_before))})
        if (!bound)
            return bound;
    return put_source_.run();
}

/// Whether one more source can be counted by itself.
Result<bool> Throttle::has_room(WallTime now) {
    {
        const base::Running running{count_sources_};
        const auto counted = count_sources_.step();
        if (!counted)
            return std::unexpected{counted.error()};
        if (count_sources_.integer(0) < max_sources)
            return true;
    }
    const base::Running settling{settle_sources_}, dropping{drop_source_};
    for (const auto& bound :
         {settle_sources_.bind(1, number(now)),
          settle_sources_.bind(2, number(now + longest_delay)), drop_source_.bind(1, number(now)),
          drop_source_.bind(2, std::int64_t{free_failures_of_source})})
        if (!bound)
            return std::unexpected{bound.error()};
    if (const auto drawn_in = settle_sources_.run(); !drawn_in)
        return std::unexpected{drawn_in.error()};
    return drop_source_.step(); // its row, if there was one that waits for nothing
}

} // namespace vigil::factors
