#include "wire/codec.hpp"

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

Result<> append(sd_bus_message* message, const Login& login) {
    Writer writer{message};
    write_login(writer, login);
    return writer.result();
}

template <>
Result<Login> read<Login>(sd_bus_message* message) {
    Reader reader{message};
    Login login;
    read_login(reader, login);
    return reader.result(std::move(login));
}

Result<> append(sd_bus_message* message, const ReserveReply& reply) {
    Writer writer{message};
    writer.number(static_cast<std::uint32_t>(reply.verdict));
    writer.sentence("reason", reply.reason, max_reason_bytes);
    writer.number(reply.max_seconds);
    return writer.result();
}

template <>
Result<ReserveReply> read<ReserveReply>(sd_bus_message* message) {
    Reader reader{message};
    ReserveReply reply;
    reader.choice("verdict", reply.verdict, ReserveReply::Verdict::not_a_login);
    reader.text("reason", reply.reason, max_reason_bytes);
    reader.number(reply.max_seconds);
    return reader.result(std::move(reply));
}

Result<> append(sd_bus_message* message, const StepUpRequest& request) {
    Writer writer{message};
    writer.number(static_cast<std::uint32_t>(request.purpose));
    write_login(writer, request.login);
    writer.text("run_as", request.run_as, max_user_bytes);
    return writer.result();
}

template <>
Result<StepUpRequest> read<StepUpRequest>(sd_bus_message* message) {
    Reader reader{message};
    StepUpRequest request;
    reader.choice("purpose", request.purpose, Purpose::unlock);
    read_login(reader, request.login);
    reader.text("run_as", request.run_as, max_user_bytes);
    return reader.result(std::move(request));
}

Result<> append(sd_bus_message* message, const Command& command) {
    Writer writer{message};
    writer.blob("path", command.path, max_path_bytes);
    writer.blob("named", command.named, max_path_bytes);
    writer.blobs("arguments", command.arguments, max_arguments, max_arguments_bytes);
    writer.boolean(command.edits);
    writer.boolean(command.settled);
    writer.boolean(command.cut);
    return writer.result();
}

template <>
Result<Command> read<Command>(sd_bus_message* message) {
    Reader reader{message};
    Command command;
    reader.blob("path", command.path, max_path_bytes);
    reader.blob("named", command.named, max_path_bytes);
    reader.blobs("arguments", command.arguments, max_arguments, max_arguments_bytes);
    reader.boolean(command.edits);
    reader.boolean(command.settled);
    reader.boolean(command.cut);
    return reader.result(std::move(command));
}

Result<> append(sd_bus_message* message, const AskReply& reply) {
    Writer writer{message};
    writer.number(static_cast<std::uint32_t>(reply.verdict));
    writer.sentence("text", reply.text, max_reason_bytes);
    writer.list("factors", reply.factors, max_service_bytes);
    writer.number(reply.wait_seconds);
    return writer.result();
}

template <>
Result<AskReply> read<AskReply>(sd_bus_message* message) {
    Reader reader{message};
    AskReply reply;
    reader.choice("verdict", reply.verdict, AskReply::Verdict::not_applicable);
    reader.text("text", reply.text, max_reason_bytes);
    reader.list("factors", reply.factors, max_service_bytes);
    reader.number(reply.wait_seconds);
    return reader.result(std::move(reply));
}

Result<> append(sd_bus_message* message, const Proof& proof) {
    const int r = sd_bus_message_sensitive(message);
    if (r < 0)
        return fail(r, "marking a message as sensitive");
    Writer writer{message};
    writer.text("factor", proof.factor, max_service_bytes);
    writer.text("answer", proof.answer, max_answer_bytes);
    writer.bytes(proof.attempt.data(), proof.attempt.size());
    return writer.result();
}

template <>
Result<Proof> read<Proof>(sd_bus_message* message) {
    const int r = sd_bus_message_sensitive(message);
    if (r < 0)
        return fail(r, "marking a message as sensitive");
    Reader reader{message};
    Proof proof;
    reader.text("factor", proof.factor, max_service_bytes);
    reader.text("answer", proof.answer, max_answer_bytes);
    reader.bytes(proof.attempt.data(), proof.attempt.size());
    if (!reader.ok()) {
        base::wipe(proof.answer.data(), proof.answer.size());
        return reader.error();
    }
    return proof;
}

Result<> append(sd_bus_message* message, const ProveReply& reply) {
    Writer writer{message};
    writer.number(static_cast<std::uint32_t>(reply.verdict));
    writer.sentence("text", reply.text, max_reason_bytes);
    writer.number(reply.wait_seconds);
    return writer.result();
}

template <>
Result<ProveReply> read<ProveReply>(sd_bus_message* message) {
    Reader reader{message};
    ProveReply reply;
    reader.choice("verdict", reply.verdict, ProveReply::Verdict::denied);
    reader.text("text", reply.text, max_reason_bytes);
    reader.number(reply.wait_seconds);
    return reader.result(std::move(reply));
}

Result<> append_fd(sd_bus_message* message, int fd) {
    Writer writer{message};
    writer.descriptor(fd);
    return writer.result();
}

Result<base::UniqueFd> read_fd(sd_bus_message* message) {
    Reader reader{message};
    int theirs = -1;
    reader.descriptor(theirs);
    if (!reader.ok())
        return reader.error();
    base::UniqueFd fd{::fcntl(theirs, F_DUPFD_CLOEXEC, 3)};
    if (!fd)
        return fail(errno, "duplicating a descriptor");
    return fd;
}

Result<> append_text(sd_bus_message* message, const std::string& text) {
    Writer writer{message};
    writer.text("text", text);
    return writer.result();
}

template <>
Result<std::string> read<std::string>(sd_bus_message* message) {
    Reader reader{message};
    std::string text;
    reader.text("text", text);
    return reader.result(std::move(text));
}

template <>
Result<std::uint64_t> read<std::uint64_t>(sd_bus_message* message) {
    Reader reader{message};
    std::uint64_t number = 0;
    reader.number(number);
    return reader.result(number);
}

} // namespace vigil::wire
