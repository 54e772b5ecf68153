// What a person can prove, as it is listed and enrolled.

#include "base/secret.hpp"
#include "wire/codec.hpp"
#include "wire/names.hpp"
#include "wire/stream.hpp"

namespace vigil::wire {

namespace {

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

Result<> append(base::ValueSink& sink, const Factor& factor) {
    Writer writer{sink};
    write_factor(writer, factor);
    return writer.result();
}

Result<> append(base::ValueSink& sink, const std::vector<Factor>& factors) {
    Writer writer{sink};
    writer.open('a', factor_signature);
    for (const Factor& factor : factors)
        write_factor(writer, factor);
    writer.close();
    return writer.result();
}

template <>
Result<std::vector<Factor>> read<std::vector<Factor>>(base::ValueSource& source) {
    Reader reader{source};
    std::vector<Factor> factors;
    reader.must_open('a', factor_signature);
    while (reader.open('r', "ssussttb"))
        read_factor(reader, factors.emplace_back());
    reader.close();
    return reader.result(std::move(factors));
}

Result<> append(base::ValueSink& sink, const RecoveryCodes& codes) {
    if (const auto marked = mark_sensitive(sink); !marked)
        return std::unexpected{marked.error()};
    Writer writer{sink};
    writer.text("lines", codes.lines);
    return writer.result();
}

template <>
Result<RecoveryCodes> read<RecoveryCodes>(base::ValueSource& source) {
    if (const auto marked = mark_sensitive(source); !marked)
        return std::unexpected{marked.error()};
    Reader reader{source};
    RecoveryCodes codes;
    reader.text("lines", codes.lines);
    return reader.result(std::move(codes));
}

Result<> append(base::ValueSink& sink, const Enrollment& enrollment) {
    if (const auto marked = mark_sensitive(sink); !marked)
        return std::unexpected{marked.error()};
    Writer writer{sink};
    writer.text("factor_id", enrollment.factor_id);
    writer.text("uri", enrollment.uri);
    writer.text("secret", enrollment.secret);
    return writer.result();
}

template <>
Result<Enrollment> read<Enrollment>(base::ValueSource& source) {
    if (const auto marked = mark_sensitive(source); !marked)
        return std::unexpected{marked.error()};
    Reader reader{source};
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

Result<> append(base::ValueSink& sink, const KeyEnrollment& enrollment) {
    Writer writer{sink};
    writer.text("factor_id", enrollment.factor_id);
    writer.text("host", enrollment.host, max_host_bytes);
    writer.text("user", enrollment.user, max_user_bytes);
    writer.bytes(enrollment.nonce.data(), enrollment.nonce.size());
    return writer.result();
}

template <>
Result<KeyEnrollment> read<KeyEnrollment>(base::ValueSource& source) {
    Reader reader{source};
    KeyEnrollment enrollment;
    reader.text("factor_id", enrollment.factor_id);
    reader.text("host", enrollment.host, max_host_bytes);
    reader.text("user", enrollment.user, max_user_bytes);
    reader.bytes(enrollment.nonce.data(), enrollment.nonce.size());
    return reader.result(std::move(enrollment));
}

Result<> append(base::ValueSink& sink, const KeyChallenge& challenge) {
    Writer writer{sink};
    writer.text("host", challenge.host, max_host_bytes);
    writer.text("user", challenge.user, max_user_bytes);
    writer.bytes(challenge.nonce.data(), challenge.nonce.size());
    writer.list("keys", challenge.keys, max_text_bytes);
    return writer.result();
}

template <>
Result<KeyChallenge> read<KeyChallenge>(base::ValueSource& source) {
    Reader reader{source};
    KeyChallenge challenge;
    reader.text("host", challenge.host, max_host_bytes);
    reader.text("user", challenge.user, max_user_bytes);
    reader.bytes(challenge.nonce.data(), challenge.nonce.size());
    reader.list("keys", challenge.keys, max_text_bytes);
    return reader.result(std::move(challenge));
}

} // namespace vigil::wire
