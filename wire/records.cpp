// The records vigild shows, by the names of their fields: sessions, locks, requests, its status.

#include "wire/codec.hpp"
#include "wire/names.hpp"
#include "wire/stream.hpp"

#include <type_traits>

namespace vigil::wire {

namespace {

// One list of keys a record, walked by the writer and by the reader.

template <typename Field>
void each_field(Field&& field, auto& info)
    requires std::is_same_v<std::remove_cvref_t<decltype(info)>, LockInfo>
{
    field("locked", info.locked);
    field("user", info.user);
    field("host", info.host);
    field("locked_by", info.locked_by);
    field("locked_since", info.locked_since);
    field("ends_at", info.ends_at);
    field("factors", info.factors);
    field("warnings", info.warnings);
    field("paused", info.paused);
    field("paused_more", info.paused_more);
    field("goes_on", info.goes_on);
    field("goes_on_more", info.goes_on_more);
    field("wait_seconds", info.wait_seconds);
    field("ask_screen", info.ask_screen);
    field("shell", info.shell);
    field("foreground", info.foreground);
    field("held", info.held);
    field("leader", info.leader);
}

template <typename Field>
void each_field(Field&& field, auto& session)
    requires std::is_same_v<std::remove_cvref_t<decltype(session)>, Session>
{
    field("id", session.id);
    field("user", session.user);
    field("uid", session.uid);
    field("service", session.service);
    field("terminals", session.terminals);
    field("remote_host", session.remote_host);
    field("logind_session", session.logind_session);
    field("leader_pid", session.leader_pid);
    field("since", session.since);
    field("idle_seconds", session.idle_seconds);
    field("state", session.state);
    field("unlocking", session.unlocking);
    field("locked_since", session.locked_since);
    field("rule", session.rule);
    field("idle_lock", session.idle_lock);
    field("idle_terminate", session.idle_terminate);
    field("max_duration", session.max_duration);
    field("next_action", session.next_action);
    field("next_at", session.next_at);
    field("locked_by", session.locked_by);
    field("last_lock_at", session.last_lock_at);
    field("last_lock_by", session.last_lock_by);
    field("last_unlock_at", session.last_unlock_at);
    field("last_unlock_by", session.last_unlock_by);
    field("desktop", session.desktop);
    field("uncovered", session.uncovered);
    field("runs_on", session.runs_on);
    field("login", session.login);
    field("run_as", session.run_as);
}

template <typename Field>
void each_field(Field&& field, auto& grant)
    requires std::is_same_v<std::remove_cvref_t<decltype(grant)>, Grant>
{
    field("id", grant.id);
    field("session", grant.session);
    field("user", grant.user);
    field("uid", grant.uid);
    field("terminal", grant.terminal);
    field("rule", grant.rule);
    field("run_as", grant.run_as);
    field("expires", grant.expires);
    field("uses_left", grant.uses_left);
    field("source", grant.source);
    field("after", grant.after);
}

template <typename Field>
void each_field(Field&& field, auto& block)
    requires std::is_same_v<std::remove_cvref_t<decltype(block)>, Block>
{
    field("uid", block.uid);
    field("user", block.user);
    field("reason", block.reason);
    field("by", block.by);
    field("since", block.since);
    field("until", block.until);
}

template <typename Field>
void each_field(Field&& field, auto& request)
    requires std::is_same_v<std::remove_cvref_t<decltype(request)>, Request>
{
    field("id", request.id);
    field("digest", request.digest);
    field("user", request.user);
    field("runner", request.runner);
    field("host", request.host);
    field("service", request.service);
    field("terminal", request.terminal);
    field("run_as", request.run_as);
    field("command", request.command);
    field("directory", request.directory);
    field("reason", request.reason);
    field("since", request.since);
    field("until", request.until);
    field("own", request.own);
}

template <typename Field>
void each_field(Field&& field, auto& status)
    requires std::is_same_v<std::remove_cvref_t<decltype(status)>, Status>
{
    field("version", status.version);
    field("mode", status.mode);
    field("policy_path", status.policy_path);
    field("policy_error", status.policy_error);
    field("policy_loaded", status.policy_loaded);
    field("rehearsed_until", status.rehearsed_until);
    field("store_error", status.store_error);
    field("factors_error", status.factors_error);
    field("started", status.started);
    field("sessions", status.sessions);
    field("locked", status.locked);
    field("grants", status.grants);
    field("degraded", status.degraded);
}

template <typename Field>
void each_field(Field&& field, auto& finding)
    requires std::is_same_v<std::remove_cvref_t<decltype(finding)>, Finding>
{
    field("check", finding.check);
    field("result", finding.result);
    field("found", finding.found);
    field("mend", finding.mend);
}

class FieldWriter {
public:
    explicit FieldWriter(Writer& writer) noexcept : writer_{writer} {}

    void operator()(const char* key, bool value) {
        wrap(key, "b", [&] { writer_.boolean(value); });
    }
    void operator()(const char* key, std::uint32_t value) {
        wrap(key, "u", [&] { writer_.number(value); });
    }
    void operator()(const char* key, std::uint64_t value) {
        wrap(key, "t", [&] { writer_.number(value); });
    }
    void operator()(const char* key, const std::string& value) {
        wrap(key, "s", [&] { writer_.sentence(key, value, max_text_bytes); });
    }
    void operator()(const char* key, const std::vector<std::string>& value) {
        wrap(key, "as", [&] { writer_.list(key, value, max_text_bytes); });
    }

private:
    template <typename Write>
    void wrap(const char* key, const char* type, Write&& write) {
        writer_.open('e', "sv");
        writer_.text(key, key);
        writer_.open('v', type);
        write();
        writer_.close();
        writer_.close();
    }

    Writer& writer_;
};

/// Reads the value into the field that has this key.
class FieldReader {
public:
    FieldReader(Reader& reader, const std::string& wanted) noexcept
        : reader_{reader}, wanted_{wanted} {}

    void operator()(const char* key, bool& value) {
        unwrap(key, "b", [&] { reader_.boolean(value); });
    }
    void operator()(const char* key, std::uint32_t& value) {
        unwrap(key, "u", [&] { reader_.number(value); });
    }
    void operator()(const char* key, std::uint64_t& value) {
        unwrap(key, "t", [&] { reader_.number(value); });
    }
    void operator()(const char* key, std::string& value) {
        unwrap(key, "s", [&] { reader_.text(key, value); });
    }
    void operator()(const char* key, std::vector<std::string>& value) {
        unwrap(key, "as", [&] {
            value.clear(); // of a key given twice, the last counts
            reader_.list(key, value, max_text_bytes);
        });
    }

    bool found() const noexcept { return found_; }

private:
    template <typename Read>
    void unwrap(const char* key, const char* type, Read&& read) {
        if (wanted_ != key)
            return;
        found_ = true;
        reader_.must_open('v', type);
        read();
        reader_.close();
    }

    Reader& reader_;
    const std::string& wanted_;
    bool found_ = false;
};

template <typename Record>
void write_record(Writer& writer, const Record& record) {
    writer.open('a', "{sv}");
    each_field(FieldWriter{writer}, record);
    writer.close();
}

/// Keys of a newer vigild are passed over; those missing keep their default.
template <typename Record>
void read_entries(Reader& reader, Record& record) {
    while (reader.open('e', "sv")) {
        std::string key;
        reader.text("key", key);
        FieldReader field{reader, key};
        each_field(field, record);
        if (!field.found())
            reader.skip("v");
        reader.close();
    }
    reader.close();
}

template <typename Record>
Result<> append_record(base::ValueSink& sink, const Record& record) {
    Writer writer{sink};
    write_record(writer, record);
    return writer.result();
}

template <typename Record>
Result<Record> read_record(base::ValueSource& source) {
    Reader reader{source};
    Record record;
    reader.must_open('a', "{sv}");
    read_entries(reader, record);
    return reader.result(std::move(record));
}

template <typename Record>
Result<> append_records(base::ValueSink& sink, const std::vector<Record>& records) {
    Writer writer{sink};
    writer.open('a', "a{sv}");
    for (const Record& record : records)
        write_record(writer, record);
    writer.close();
    return writer.result();
}

template <typename Record>
Result<std::vector<Record>> read_records(base::ValueSource& source) {
    Reader reader{source};
    std::vector<Record> records;
    reader.must_open('a', "a{sv}");
    while (reader.open('a', "{sv}"))
        read_entries(reader, records.emplace_back());
    reader.close();
    return reader.result(std::move(records));
}

} // namespace

Result<> append(base::ValueSink& sink, const LockInfo& info) {
    return append_record(sink, info);
}

template <>
Result<LockInfo> read<LockInfo>(base::ValueSource& source) {
    return read_record<LockInfo>(source);
}

Result<> append(base::ValueSink& sink, const Session& session) {
    return append_record(sink, session);
}

template <>
Result<Session> read<Session>(base::ValueSource& source) {
    return read_record<Session>(source);
}

Result<> append(base::ValueSink& sink, const Status& status) {
    return append_record(sink, status);
}

template <>
Result<Status> read<Status>(base::ValueSource& source) {
    return read_record<Status>(source);
}

// The lists have no bound of their own: they come from vigild, in a message libsystemd bounds.
Result<> append(base::ValueSink& sink, const std::vector<Session>& sessions) {
    return append_records(sink, sessions);
}

template <>
Result<std::vector<Session>> read<std::vector<Session>>(base::ValueSource& source) {
    return read_records<Session>(source);
}

Result<> append(base::ValueSink& sink, const std::vector<Block>& blocks) {
    return append_records(sink, blocks);
}

template <>
Result<std::vector<Block>> read<std::vector<Block>>(base::ValueSource& source) {
    return read_records<Block>(source);
}

Result<> append(base::ValueSink& sink, const std::vector<Grant>& grants) {
    return append_records(sink, grants);
}

template <>
Result<std::vector<Grant>> read<std::vector<Grant>>(base::ValueSource& source) {
    return read_records<Grant>(source);
}

Result<> append(base::ValueSink& sink, const std::vector<Request>& requests) {
    return append_records(sink, requests);
}

template <>
Result<std::vector<Request>> read<std::vector<Request>>(base::ValueSource& source) {
    return read_records<Request>(source);
}

Result<> append(base::ValueSink& sink, const std::vector<Finding>& findings) {
    return append_records(sink, findings);
}

template <>
Result<std::vector<Finding>> read<std::vector<Finding>>(base::ValueSource& source) {
    return read_records<Finding>(source);
}

} // namespace vigil::wire
