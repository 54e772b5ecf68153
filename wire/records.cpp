// The records vigild shows: sessions, locks, its status, factors.

#include "base/secret.hpp"
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
Result<> append_record(sd_bus_message* message, const Record& record) {
    Writer writer{message};
    write_record(writer, record);
    return writer.result();
}

template <typename Record>
Result<Record> read_record(sd_bus_message* message) {
    Reader reader{message};
    Record record;
    reader.must_open('a', "{sv}");
    read_entries(reader, record);
    return reader.result(std::move(record));
}

template <typename Record>
Result<> append_records(sd_bus_message* message, const std::vector<Record>& records) {
    Writer writer{message};
    writer.open('a', "a{sv}");
    for (const Record& record : records)
        write_record(writer, record);
    writer.close();
    return writer.result();
}

template <typename Record>
Result<std::vector<Record>> read_records(sd_bus_message* message) {
    Reader reader{message};
    std::vector<Record> records;
    reader.must_open('a', "a{sv}");
    while (reader.open('a', "{sv}"))
        read_entries(reader, records.emplace_back());
    reader.close();
    return reader.result(std::move(records));
}

void write_factor(Writer& writer, const Factor& factor) {
    writer.open('r', "ssussttb");
    writer.text("id", factor.id);
    writer.text("user", factor.user, max_user_bytes);
    writer.number(factor.uid);
    writer.text("kind", factor.kind, max_service_bytes);
    writer.text("name", factor.name);
    writer.number(factor.created);
    writer.number(factor.last_used);
    writer.boolean(factor.active);
    writer.close();
}

void read_factor(Reader& reader, Factor& factor) {
    reader.text("id", factor.id);
    reader.text("user", factor.user, max_user_bytes);
    reader.number(factor.uid);
    reader.text("kind", factor.kind, max_service_bytes);
    reader.text("name", factor.name);
    reader.number(factor.created);
    reader.number(factor.last_used);
    reader.boolean(factor.active);
    reader.close();
}

} // namespace

Result<> append(sd_bus_message* message, const LockInfo& info) {
    return append_record(message, info);
}

template <>
Result<LockInfo> read<LockInfo>(sd_bus_message* message) {
    return read_record<LockInfo>(message);
}

Result<> append(sd_bus_message* message, const Session& session) {
    return append_record(message, session);
}

template <>
Result<Session> read<Session>(sd_bus_message* message) {
    return read_record<Session>(message);
}

Result<> append(sd_bus_message* message, const Status& status) {
    return append_record(message, status);
}

template <>
Result<Status> read<Status>(sd_bus_message* message) {
    return read_record<Status>(message);
}

// The lists have no bound of their own: they come from vigild, in a message libsystemd bounds.
Result<> append(sd_bus_message* message, const std::vector<Session>& sessions) {
    return append_records(message, sessions);
}

template <>
Result<std::vector<Session>> read<std::vector<Session>>(sd_bus_message* message) {
    return read_records<Session>(message);
}

Result<> append(sd_bus_message* message, const std::vector<Grant>& grants) {
    return append_records(message, grants);
}

template <>
Result<std::vector<Grant>> read<std::vector<Grant>>(sd_bus_message* message) {
    return read_records<Grant>(message);
}

Result<> append(sd_bus_message* message, const std::vector<Finding>& findings) {
    return append_records(message, findings);
}

template <>
Result<std::vector<Finding>> read<std::vector<Finding>>(sd_bus_message* message) {
    return read_records<Finding>(message);
}

Result<> append(sd_bus_message* message, const Factor& factor) {
    Writer writer{message};
    write_factor(writer, factor);
    return writer.result();
}

Result<> append(sd_bus_message* message, const std::vector<Factor>& factors) {
    Writer writer{message};
    writer.open('a', factor_signature);
    for (const Factor& factor : factors)
        write_factor(writer, factor);
    writer.close();
    return writer.result();
}

template <>
Result<std::vector<Factor>> read<std::vector<Factor>>(sd_bus_message* message) {
    Reader reader{message};
    std::vector<Factor> factors;
    reader.must_open('a', factor_signature);
    while (reader.open('r', "ssussttb"))
        read_factor(reader, factors.emplace_back());
    reader.close();
    return reader.result(std::move(factors));
}

Result<> append(sd_bus_message* message, const RecoveryCodes& codes) {
    const int r = sd_bus_message_sensitive(message);
    if (r < 0)
        return fail(r, "marking a message as sensitive");
    Writer writer{message};
    writer.list("codes", codes.codes, max_recovery_code_bytes);
    return writer.result();
}

template <>
Result<RecoveryCodes> read<RecoveryCodes>(sd_bus_message* message) {
    const int r = sd_bus_message_sensitive(message);
    if (r < 0)
        return fail(r, "marking a message as sensitive");
    Reader reader{message};
    RecoveryCodes codes;
    reader.list("codes", codes.codes, max_recovery_code_bytes);
    return reader.result(std::move(codes));
}

Result<> append(sd_bus_message* message, const Enrollment& enrollment) {
    const int r = sd_bus_message_sensitive(message);
    if (r < 0)
        return fail(r, "marking a message as sensitive");
    Writer writer{message};
    writer.text("factor_id", enrollment.factor_id);
    writer.text("uri", enrollment.uri);
    writer.text("secret", enrollment.secret);
    return writer.result();
}

template <>
Result<Enrollment> read<Enrollment>(sd_bus_message* message) {
    const int r = sd_bus_message_sensitive(message);
    if (r < 0)
        return fail(r, "marking a message as sensitive");
    Reader reader{message};
    Enrollment enrollment;
    reader.text("factor_id", enrollment.factor_id);
    reader.text("uri", enrollment.uri);
    reader.text("secret", enrollment.secret);
    if (!reader.ok()) {
        base::wipe(enrollment.uri.data(), enrollment.uri.size());
        return reader.error();
    }
    return enrollment;
}

} // namespace vigil::wire
