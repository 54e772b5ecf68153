#include "daemon/store/rows.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>

namespace vigil::store::rows {

namespace {

/// Binds one column after the other; the first failure stays.
class Writer {
public:
    explicit Writer(base::Statement& statement) noexcept : statement_{statement} {}

    Writer& operator<<(std::int64_t value) { return keep(statement_.bind(++place_, value)); }
    Writer& operator<<(const std::string& text) {
        return keep(statement_.bind(++place_, std::string_view{text}));
    }
    Writer& operator<<(const core::SessionId& id) {
        return keep(bind_id(statement_, ++place_, id));
    }
    Writer& operator<<(BootTime time) { return *this << time.time_since_epoch().count(); }
    Writer& operator<<(WallTime time) { return *this << time.time_since_epoch().count(); }
    Writer& blob(std::string_view bytes) { return keep(statement_.bind_blob(++place_, bytes)); }
    Writer& null() { return keep(statement_.bind_null(++place_)); }

    Result<> run() {
        if (!done_)
            return done_;
        return statement_.run();
    }

private:
    Writer& keep(Result<> done) {
        if (done_ && !done)
            done_ = std::move(done);
        return *this;
    }

    base::Statement& statement_;
    int place_ = 0;
    Result<> done_;
};

/// Reads one column after the other; a value out of its range makes the whole row bad.
class Reader {
public:
    explicit Reader(const base::Statement& row) noexcept : row_{row} {}

    template <std::integral Integer>
    Reader& operator>>(Integer& out) {
        const std::int64_t value = row_.integer(column_++);
        sound_ = sound_ && std::in_range<Integer>(value);
        out = static_cast<Integer>(value);
        return *this;
    }
    // Stored by their bits: SQLite has signed numbers alone.
    Reader& operator>>(std::uint64_t& out) {
        out = static_cast<std::uint64_t>(row_.integer(column_++));
        return *this;
    }
    Reader& operator>>(bool& out) {
        const std::int64_t value = row_.integer(column_++);
        sound_ = sound_ && (value == 0 || value == 1);
        out = value != 0;
        return *this;
    }
    Reader& operator>>(std::string& out) {
        out = row_.text(column_++);
        return *this;
    }
    Reader& operator>>(BootTime& out) {
        out = BootTime{Microseconds{row_.integer(column_++)}};
        return *this;
    }
    Reader& operator>>(WallTime& out) {
        out = WallTime{Microseconds{row_.integer(column_++)}};
        return *this;
    }
    Reader& operator>>(core::SessionId& out) { return bytes(out.bytes); }
    Reader& bytes(std::array<std::uint8_t, 16>& out) {
        const std::string_view blob = row_.blob(column_++);
        sound_ = sound_ && blob.size() == out.size();
        std::ranges::copy(blob.substr(0, out.size()), out.begin());
        return *this;
    }
    template <typename Enum>
    Reader& choice(Enum& out, Enum last) {
        const std::int64_t value = row_.integer(column_++);
        sound_ = sound_ && value >= 0 && value <= static_cast<std::int64_t>(last);
        out = sound_ ? static_cast<Enum>(value) : last;
        return *this;
    }
    bool null() const noexcept { return row_.is_null(column_); }
    void skip() noexcept { ++column_; }
    std::string_view blob() noexcept { return row_.blob(column_++); }
    void spoil() noexcept { sound_ = false; }

    Result<> done(const char* table) const {
        if (!sound_)
            return fail(EBADMSG, std::string{"a row of "} + table + " makes no sense");
        return {};
    }

private:
    const base::Statement& row_;
    int column_ = 0;
    bool sound_ = true;
};

std::string_view view_of(const std::array<std::uint8_t, 16>& bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::int64_t bits(std::uint64_t value) noexcept {
    return static_cast<std::int64_t>(value);
}

std::string joined(const std::vector<std::string>& names) {
    std::string out;
    for (const auto& name : names)
        out.append(name.c_str(), name.size() + 1);
    return out;
}

/// False: the last name is not ended.
bool split(std::string_view blob, std::vector<std::string>& names) {
    while (!blob.empty()) {
        const auto end = blob.find('\0');
        if (end == std::string_view::npos)
            return false;
        names.emplace_back(blob.substr(0, end));
        blob.remove_prefix(end + 1);
    }
    return true;
}

/// "id, user" without the commas.
std::vector<std::string_view> columns_of(std::string_view list) {
    std::vector<std::string_view> columns;
    for (;;) {
        const auto end = list.find(", ");
        columns.push_back(list.substr(0, end));
        if (end == list.npos)
            return columns;
        list.remove_prefix(end + 2);
    }
}

std::string all_columns(const Table& table) {
    return std::string{table.key} + ", " + std::string{table.rest};
}

} // namespace

std::string Table::put() const {
    const auto all = all_columns(*this);
    std::string places;
    for (std::size_t left = columns_of(all).size(); left > 0; --left)
        places += left > 1 ? "?, " : "?";
    std::string changes;
    for (const auto column : columns_of(rest))
        changes += (changes.empty() ? "" : ", ") + std::string{column} + " = excluded." +
                   std::string{column};
    return "INSERT INTO " + std::string{name} + " (" + all + ") VALUES (" + places +
           ") ON CONFLICT (" + std::string{key} + ") DO UPDATE SET " + changes;
}

std::string Table::select(std::string_view which) const {
    return "SELECT " + all_columns(*this) + " FROM " + std::string{name} + " " + std::string{which};
}

Result<> bind_id(base::Statement& statement, int place, const core::SessionId& id) {
    return statement.bind_blob(place, view_of(id.bytes));
}

Result<> run_with_id(base::Statement& statement, const core::SessionId& id) {
    if (const auto bound = bind_id(statement, 1, id); !bound)
        return bound;
    return statement.run();
}

Result<> write(base::Statement& statement, const core::SessionRecord& r) {
    Writer out{statement};
    out << r.id << r.facts.user << r.facts.uid;
    out.blob(joined(r.facts.groups)) << r.facts.service;
    if (r.facts.remote)
        out.blob(view_of(*r.facts.remote));
    else
        out.null();
    out << std::int64_t{r.facts.remote_unknown} << static_cast<std::int64_t>(r.facts.session_class)
        << r.pam_terminal << r.remote_host << r.leader.pid << bits(r.leader.start_time)
        << r.logind_session << r.cgroup << static_cast<std::int64_t>(r.state) << r.since
        << r.since_wall << r.locked_since << r.locked_since_wall << r.locked_by << r.lock_reason
        << r.unlocked_by << r.unlock_reason << r.unlocked_wall << r.unlocking_by
        << r.unlocking_reason << r.unlock_failures << r.unlock_not_before << r.ending_since
        << r.end_reason << r.end_warnings_given << std::int64_t{r.adopted}
        << std::int64_t{r.desktop_locked};
    if (r.login)
        out << *r.login;
    else
        out.null();
    out << r.run_as;
    return out.run();
}

Result<> read(const base::Statement& row, core::SessionRecord& r) {
    Reader in{row};
    in >> r.id >> r.facts.user >> r.facts.uid;
    if (!split(in.blob(), r.facts.groups))
        in.spoil();
    in >> r.facts.service;
    if (in.null())
        in.skip();
    else
        in.bytes(r.facts.remote.emplace());
    in >> r.facts.remote_unknown;
    in.choice(r.facts.session_class, policy::SessionClass::forward) >> r.pam_terminal >>
        r.remote_host >> r.leader.pid >> r.leader.start_time >> r.logind_session >> r.cgroup;
    in.choice(r.state, core::State::ending) >> r.since >> r.since_wall >> r.locked_since >>
        r.locked_since_wall >> r.locked_by >> r.lock_reason >> r.unlocked_by >> r.unlock_reason >>
        r.unlocked_wall >> r.unlocking_by >> r.unlocking_reason >> r.unlock_failures >>
        r.unlock_not_before >> r.ending_since >> r.end_reason >> r.end_warnings_given >>
        r.adopted >> r.desktop_locked;
    if (in.null())
        in.skip();
    else
        in >> r.login.emplace();
    in >> r.run_as;
    return in.done("session");
}

Result<> write(base::Statement& statement, const core::GrantRecord& r) {
    Writer out{statement};
    out << r.id << r.uid << r.session << bits(r.terminal) << r.leader.pid
        << bits(r.leader.start_time) << r.purpose << r.expires << r.uses_left;
    return out.run();
}

Result<> read(const base::Statement& row, core::GrantRecord& r) {
    Reader in{row};
    in >> r.id >> r.uid >> r.session >> r.terminal >> r.leader.pid >> r.leader.start_time >>
        r.purpose >> r.expires >> r.uses_left;
    return in.done("grant_");
}

Result<> write(base::Statement& statement, const core::RememberedLogin& r) {
    std::vector<std::string> proved;
    for (const auto factor : r.proved)
        proved.emplace_back(policy::to_text(factor));
    Writer out{statement};
    out << r.id << r.uid << r.user;
    out.blob(view_of(r.source)) << r.host << r.after;
    out.blob(joined(proved)) << r.since << r.expires;
    return out.run();
}

Result<> read(const base::Statement& row, core::RememberedLogin& r) {
    Reader in{row};
    in >> r.id >> r.uid >> r.user;
    in.bytes(r.source) >> r.host >> r.after;
    std::vector<std::string> proved;
    if (!split(in.blob(), proved))
        in.spoil();
    for (const auto& name : proved) {
        if (const auto factor = policy::factor_from_text(name))
            r.proved.push_back(*factor);
        else
            in.spoil();
    }
    in >> r.since >> r.expires;
    return in.done("remembered_login");
}

Result<> write(base::Statement& statement, const core::BlockRecord& r) {
    Writer out{statement};
    out << r.uid << r.user << r.reason << r.by << r.since << r.until << r.until_wall;
    return out.run();
}

Result<> read(const base::Statement& row, core::BlockRecord& r) {
    Reader in{row};
    in >> r.uid >> r.user >> r.reason >> r.by >> r.since >> r.until >> r.until_wall;
    return in.done("block");
}

Result<> write(base::Statement& statement, const core::SavedTerminal& r) {
    Writer out{statement};
    out << r.session << r.path << bits(r.device);
    out.blob(r.settings) << r.uid << r.gid << r.mode << r.lock_console << r.keyboard_mode
                         << static_cast<std::int64_t>(r.screen)
                         << static_cast<std::int64_t>(r.cursor);
    return out.run();
}

Result<> read(const base::Statement& row, core::SavedTerminal& r) {
    Reader in{row};
    in >> r.session >> r.path >> r.device;
    r.settings = in.blob();
    in >> r.uid >> r.gid >> r.mode >> r.lock_console >> r.keyboard_mode;
    in.choice(r.screen, core::Screen::plain);
    in.choice(r.cursor, core::Cursor::hidden);
    return in.done("terminal");
}

} // namespace vigil::store::rows
