#pragma once
// The one codec. append() fills a message, read() takes one apart; both return an Error and leave
// no half-read state anybody could act on. read() enforces the bounds of names.hpp and valid UTF-8
// (libsystemd's own check).

#include "base/error.hpp"
#include "base/systemd.hpp"
#include "wire/messages.hpp"

namespace vigil::wire {

// append() refuses text with a NUL or bad UTF-8 (EINVAL) and text over its bound (EMSGSIZE), but
// cuts a sentence for the user (reason, text, errors) at its bound: it must not cost the answer it
// explains.

// D-Bus signatures, for vtables.
inline constexpr const char* login_signature = "(suassss)";
inline constexpr const char* reserve_reply_signature = "ust";
inline constexpr const char* step_up_request_signature = "u(suassss)s";
inline constexpr const char* command_signature = "ayayaaybbb";
inline constexpr const char* ask_reply_signature = "usast";
inline constexpr const char* proof_signature = "ssay";
inline constexpr const char* prove_reply_signature = "ust";
inline constexpr const char* session_signature = "a{sv}";
inline constexpr const char* status_signature = "a{sv}";
inline constexpr const char* lock_info_signature = "a{sv}";
inline constexpr const char* enrollment_signature = "sss";
inline constexpr const char* factor_signature = "(ssussttb)";

Result<> append(sd_bus_message* message, const Login& login);
Result<> append(sd_bus_message* message, const ReserveReply& reply);
Result<> append(sd_bus_message* message, const StepUpRequest& request);
Result<> append(sd_bus_message* message, const Command& command);
Result<> append(sd_bus_message* message, const AskReply& reply);
Result<> append(sd_bus_message* message, const Proof& proof); ///< marks the message sensitive
Result<> append(sd_bus_message* message, const ProveReply& reply);
Result<> append(sd_bus_message* message, const LockInfo& info);
Result<> append(sd_bus_message* message, const Session& session);
Result<> append(sd_bus_message* message, const Status& status);
Result<> append(sd_bus_message* message, const Enrollment& enrollment); ///< sensitive, too
Result<> append(sd_bus_message* message, const RecoveryCodes& codes);   ///< sensitive, too
Result<> append(sd_bus_message* message, const Factor& factor);
Result<> append(sd_bus_message* message, const std::vector<Session>& sessions);
Result<> append(sd_bus_message* message, const std::vector<Factor>& factors);
Result<> append(sd_bus_message* message, const std::vector<Finding>& findings);
Result<> append(sd_bus_message* message, const std::vector<Grant>& grants);
Result<> append_fd(sd_bus_message* message, int fd);
Result<> append_text(sd_bus_message* message, const std::string& text);

/// Reads one value of the named type; EBADMSG if the message holds something else.
template <typename T>
Result<T> read(sd_bus_message* message);

template <>
Result<Login> read<Login>(sd_bus_message* message);
template <>
Result<ReserveReply> read<ReserveReply>(sd_bus_message* message);
template <>
Result<StepUpRequest> read<StepUpRequest>(sd_bus_message* message);
template <>
Result<Command> read<Command>(sd_bus_message* message);
template <>
Result<AskReply> read<AskReply>(sd_bus_message* message);
template <>
Result<Proof> read<Proof>(sd_bus_message* message);
template <>
Result<ProveReply> read<ProveReply>(sd_bus_message* message);
template <>
Result<LockInfo> read<LockInfo>(sd_bus_message* message);
template <>
Result<Session> read<Session>(sd_bus_message* message);
template <>
Result<Status> read<Status>(sd_bus_message* message);
template <>
Result<Enrollment> read<Enrollment>(sd_bus_message* message);
template <>
Result<RecoveryCodes> read<RecoveryCodes>(sd_bus_message* message);
template <>
Result<std::vector<Session>> read<std::vector<Session>>(sd_bus_message* message);
template <>
Result<std::vector<Factor>> read<std::vector<Factor>>(sd_bus_message* message);
template <>
Result<std::vector<Finding>> read<std::vector<Finding>>(sd_bus_message* message);
template <>
Result<std::vector<Grant>> read<std::vector<Grant>>(sd_bus_message* message);
template <>
Result<std::string> read<std::string>(sd_bus_message* message);
template <>
Result<std::uint64_t> read<std::uint64_t>(sd_bus_message* message);

/// Takes the descriptor at this place, duplicated with CLOEXEC: it outlives the message.
Result<base::UniqueFd> read_fd(sd_bus_message* message);

} // namespace vigil::wire
