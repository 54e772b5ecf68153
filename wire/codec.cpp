#include "wire/codec.hpp"

#include "base/base64.hpp"
#include "base/secret.hpp"
#include "wire/names.hpp"
#include "wire/stream.hpp"

#include <cerrno>

#include <fcntl.h>

namespace vigil::wire {

namespace {

void write_login(Writer& writer, const Login& login) {
    writer.open('r', "suassss");
    writer.text("user", login.user, max_user_bytes);
    writer.number(login.uid);
    writer.list("groups", login.groups, max_user_bytes);
    writer.text("service", login.service, max_service_bytes);
    writer.text("terminal", login.terminal, max_terminal_bytes);
    writer.text("remote_host", login.remote_host, max_host_bytes);
    writer.close();
}

void read_login(Reader& reader, Login& login) {
    reader.must_open('r', "suassss");
    reader.text("user", login.user, max_user_bytes);
    reader.number(login.uid);
    reader.list("groups", login.groups, max_user_bytes);
    reader.text("service", login.service, max_service_bytes);
    reader.text("terminal", login.terminal, max_terminal_bytes);
    reader.text("remote_host", login.remote_host, max_host_bytes);
    reader.close();
}

} // namespace

Result<> append(base::ValueSink& sink, const Login& login) {
    Writer writer{sink};
    write_login(writer, login);
    return writer.result();
}

template <>
Result<Login> read<Login>(base::ValueSource& source) {
    Reader reader{source};
    Login login;
    read_login(reader, login);
    return reader.result(std::move(login));
}

Result<> append(base::ValueSink& sink, const ReserveReply& reply) {
    Writer writer{sink};
    writer.number(static_cast<std::uint32_t>(reply.verdict));
    writer.sentence("reason", reply.reason, max_reason_bytes);
    writer.number(reply.max_seconds);
    return writer.result();
}

template <>
Result<ReserveReply> read<ReserveReply>(base::ValueSource& source) {
    Reader reader{source};
    ReserveReply reply;
    reader.choice("verdict", reply.verdict, ReserveReply::Verdict::not_a_login);
    reader.text("reason", reply.reason, max_reason_bytes);
    reader.number(reply.max_seconds);
    return reader.result(std::move(reply));
}

Result<> append(base::ValueSink& sink, const StepUpRequest& request) {
    Writer writer{sink};
    writer.number(static_cast<std::uint32_t>(request.purpose));
    write_login(writer, request.login);
    writer.text("run_as", request.run_as, max_user_bytes);
    return writer.result();
}

template <>
Result<StepUpRequest> read<StepUpRequest>(base::ValueSource& source) {
    Reader reader{source};
    StepUpRequest request;
    reader.choice("purpose", request.purpose, Purpose::login);
    read_login(reader, request.login);
    reader.text("run_as", request.run_as, max_user_bytes);
    return reader.result(std::move(request));
}

Result<> append(base::ValueSink& sink, const Command& command) {
    Writer writer{sink};
    writer.blob("path", command.path, max_path_bytes);
    writer.blob("named", command.named, max_path_bytes);
    writer.blob("link", command.link, max_path_bytes);
    writer.blobs("arguments", command.arguments, max_arguments, max_arguments_bytes);
    writer.boolean(command.edits);
    writer.boolean(command.settled);
    writer.boolean(command.cut);
    writer.blob("directory", command.directory, max_path_bytes);
    return writer.result();
}

template <>
Result<Command> read<Command>(base::ValueSource& source) {
    Reader reader{source};
    Command command;
    reader.blob("path", command.path, max_path_bytes);
    reader.blob("named", command.named, max_path_bytes);
    reader.blob("link", command.link, max_path_bytes);
    reader.blobs("arguments", command.arguments, max_arguments, max_arguments_bytes);
    reader.boolean(command.edits);
    reader.boolean(command.settled);
    reader.boolean(command.cut);
    reader.blob("directory", command.directory, max_path_bytes);
    return reader.result(std::move(command));
}

Result<> append(base::ValueSink& sink, const AskReply& reply) {
    Writer writer{sink};
    writer.number(static_cast<std::uint32_t>(reply.verdict));
    writer.sentence("text", reply.text, max_reason_bytes);
    writer.list("factors", reply.factors, max_service_bytes);
    writer.text("person", reply.person, max_user_bytes);
    writer.number(reply.wait_seconds);
    return writer.result();
}

template <>
Result<AskReply> read<AskReply>(base::ValueSource& source) {
    Reader reader{source};
    AskReply reply;
    reader.choice("verdict", reply.verdict, AskReply::Verdict::not_applicable);
    reader.text("text", reply.text, max_reason_bytes);
    reader.list("factors", reply.factors, max_service_bytes);
    reader.text("person", reply.person, max_user_bytes);
    reader.number(reply.wait_seconds);
    return reader.result(std::move(reply));
}

Result<> append(base::ValueSink& sink, const Proof& proof) {
    if (const auto marked = mark_sensitive(sink); !marked)
        return std::unexpected{marked.error()};
    Writer writer{sink};
    writer.text("factor", proof.factor, max_service_bytes);
    writer.text("answer", proof.answer, max_answer_bytes);
    writer.boolean(proof.vouched);
    writer.bytes(proof.attempt.data(), proof.attempt.size());
    return writer.result();
}

template <>
Result<Proof> read<Proof>(base::ValueSource& source) {
    if (const auto marked = mark_sensitive(source); !marked)
        return std::unexpected{marked.error()};
    Reader reader{source};
    Proof proof;
    reader.text("factor", proof.factor, max_service_bytes);
    reader.text("answer", proof.answer, max_answer_bytes);
    reader.boolean(proof.vouched);
    reader.bytes(proof.attempt.data(), proof.attempt.size());
    if (!reader.ok()) {
        base::wipe(proof.answer.data(), proof.answer.size());
        return reader.error();
    }
    return proof;
}

Result<> append(base::ValueSink& sink, const ProveReply& reply) {
    Writer writer{sink};
    writer.number(static_cast<std::uint32_t>(reply.verdict));
    writer.sentence("text", reply.text, max_reason_bytes);
    writer.list("factors", reply.factors, max_service_bytes);
    writer.number(reply.wait_seconds);
    return writer.result();
}

template <>
Result<ProveReply> read<ProveReply>(base::ValueSource& source) {
    Reader reader{source};
    ProveReply reply;
    reader.choice("verdict", reply.verdict, ProveReply::Verdict::more);
    reader.text("text", reply.text, max_reason_bytes);
    reader.list("factors", reply.factors, max_service_bytes);
    reader.number(reply.wait_seconds);
    return reader.result(std::move(reply));
}

/// Bytes of all kinds: in base64, for arrays of bytes are texts here, without a NUL.
Result<> append(base::ValueSink& sink, const KeyQuestion& question) {
    Writer writer{sink};
    std::vector<std::string> keys;
    for (const auto& key : question.keys)
        keys.push_back(base::base64_encode(key));
    writer.text("bytes", base::base64_encode(question.bytes), max_text_bytes);
    writer.list("keys", keys, max_text_bytes);
    return writer.result();
}

template <>
Result<KeyQuestion> read<KeyQuestion>(base::ValueSource& source) {
    Reader reader{source};
    std::string bytes;
    std::vector<std::string> keys;
    reader.text("bytes", bytes, max_text_bytes);
    reader.list("keys", keys, max_text_bytes);
    if (!reader.ok())
        return reader.error();
    KeyQuestion question;
    auto decoded = base::base64_decode(bytes);
    if (!decoded || keys.size() > max_keys_asked)
        return fail(EBADMSG, "what a key has to sign");
    question.bytes = std::move(*decoded);
    for (const auto& key : keys) {
        auto blob = base::base64_decode(key);
        if (!blob)
            return fail(EBADMSG, "a public key");
        question.keys.push_back(std::move(*blob));
    }
    return question;
}

Result<> append(base::ValueSink& sink, const Requested& requested) {
    Writer writer{sink};
    writer.text("id", requested.id);
    writer.sentence("text", requested.text, max_reason_bytes);
    writer.number(requested.wait_seconds);
    return writer.result();
}

template <>
Result<Requested> read<Requested>(base::ValueSource& source) {
    Reader reader{source};
    Requested requested;
    reader.text("id", requested.id);
    reader.text("text", requested.text, max_reason_bytes);
    reader.number(requested.wait_seconds);
    return reader.result(std::move(requested));
}

Result<> append_fd(base::ValueSink& sink, int fd) {
    Writer writer{sink};
    writer.descriptor(fd);
    return writer.result();
}

Result<base::UniqueFd> read_fd(base::ValueSource& source) {
    Reader reader{source};
    int theirs = -1;
    reader.descriptor(theirs);
    if (!reader.ok())
        return reader.error();
    base::UniqueFd fd{::fcntl(theirs, F_DUPFD_CLOEXEC, 3)};
    if (!fd)
        return fail(errno, "duplicating a descriptor");
    return fd;
}

Result<> append_text(base::ValueSink& sink, const std::string& text) {
    Writer writer{sink};
    writer.text("text", text);
    return writer.result();
}

template <>
Result<std::string> read<std::string>(base::ValueSource& source) {
    Reader reader{source};
    std::string text;
    reader.text("text", text);
    return reader.result(std::move(text));
}

template <>
Result<std::uint64_t> read<std::uint64_t>(base::ValueSource& source) {
    Reader reader{source};
    std::uint64_t number = 0;
    reader.number(number);
    return reader.result(number);
}

} // namespace vigil::wire
