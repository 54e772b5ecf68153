#pragma once
// The one codec, for whatever carries the values (base/values.hpp; of sd-bus: bus_codec.hpp).
// append() fills a message, read() takes one apart; both return an Error and leave no half-read
// state anybody could act on. read() enforces the bounds of names.hpp; valid UTF-8 is the carrier's
// to check.

#include "base/error.hpp"
#include "base/values.hpp"
#include "wire/messages.hpp"

namespace vigil::wire {

// append() refuses text with a NUL or bad UTF-8 (EINVAL) and text over its bound (EMSGSIZE), but
// cuts a sentence for the user (reason, text, errors) at its bound: it must not cost the answer it
// explains.

// D-Bus signatures, for vtables.
inline constexpr const char* login_signature = "(suassss)";
inline constexpr const char* reserve_reply_signature = "ust";
inline constexpr const char* step_up_request_signature = "u(suassss)s";
inline constexpr const char* command_signature = "ayayayaaybbbay";
inline constexpr const char* ask_reply_signature = "usasst";
inline constexpr const char* proof_signature = "ssbay";
inline constexpr const char* prove_reply_signature = "usast";
inline constexpr const char* requested_signature = "sst";
inline constexpr const char* key_question_signature = "sas";
inline constexpr const char* session_signature = "a{sv}";
inline constexpr const char* status_signature = "a{sv}";
inline constexpr const char* lock_info_signature = "a{sv}";
inline constexpr const char* enrollment_signature = "sss";
inline constexpr const char* key_enrollment_signature = "sssay";
inline constexpr const char* key_challenge_signature = "ssayas";
inline constexpr const char* factor_signature = "(ssussttb)";

Result<> append(base::ValueSink& sink, const Login& login);
Result<> append(base::ValueSink& sink, const ReserveReply& reply);
Result<> append(base::ValueSink& sink, const StepUpRequest& request);
Result<> append(base::ValueSink& sink, const Command& command);
Result<> append(base::ValueSink& sink, const AskReply& reply);
Result<> append(base::ValueSink& sink, const Proof& proof); ///< marks the message sensitive
Result<> append(base::ValueSink& sink, const ProveReply& reply);
Result<> append(base::ValueSink& sink, const KeyQuestion& question);
Result<> append(base::ValueSink& sink, const Requested& requested);
Result<> append(base::ValueSink& sink, const std::vector<Request>& requests);
Result<> append(base::ValueSink& sink, const LockInfo& info);
Result<> append(base::ValueSink& sink, const Session& session);
Result<> append(base::ValueSink& sink, const Status& status);
Result<> append(base::ValueSink& sink, const Enrollment& enrollment); ///< sensitive, too
Result<> append(base::ValueSink& sink, const RecoveryCodes& codes);   ///< sensitive, too
Result<> append(base::ValueSink& sink, const KeyEnrollment& enrollment);
Result<> append(base::ValueSink& sink, const KeyChallenge& challenge);
Result<> append(base::ValueSink& sink, const Factor& factor);
Result<> append(base::ValueSink& sink, const std::vector<Session>& sessions);
Result<> append(base::ValueSink& sink, const std::vector<Factor>& factors);
Result<> append(base::ValueSink& sink, const std::vector<Finding>& findings);
Result<> append(base::ValueSink& sink, const std::vector<Grant>& grants);
Result<> append(base::ValueSink& sink, const std::vector<Block>& blocks);
Result<> append_fd(base::ValueSink& sink, int fd);
Result<> append_text(base::ValueSink& sink, const std::string& text);

/// Reads one value of the named type; EBADMSG if the message holds something else.
template <typename T>
Result<T> read(base::ValueSource& source);

template <>
Result<Login> read<Login>(base::ValueSource& source);
template <>
Result<ReserveReply> read<ReserveReply>(base::ValueSource& source);
template <>
Result<StepUpRequest> read<StepUpRequest>(base::ValueSource& source);
template <>
Result<Command> read<Command>(base::ValueSource& source);
template <>
Result<AskReply> read<AskReply>(base::ValueSource& source);
template <>
Result<Proof> read<Proof>(base::ValueSource& source);
template <>
Result<ProveReply> read<ProveReply>(base::ValueSource& source);
template <>
Result<KeyQuestion> read<KeyQuestion>(base::ValueSource& source);
template <>
Result<Requested> read<Requested>(base::ValueSource& source);
template <>
Result<std::vector<Request>> read<std::vector<Request>>(base::ValueSource& source);
template <>
Result<LockInfo> read<LockInfo>(base::ValueSource& source);
template <>
Result<Session> read<Session>(base::ValueSource& source);
template <>
Result<Status> read<Status>(base::ValueSource& source);
template <>
Result<Enrollment> read<Enrollment>(base::ValueSource& source);
template <>
Result<KeyEnrollment> read<KeyEnrollment>(base::ValueSource& source);
template <>
Result<KeyChallenge> read<KeyChallenge>(base::ValueSource& source);
template <>
Result<RecoveryCodes> read<RecoveryCodes>(base::ValueSource& source);
template <>
Result<std::vector<Session>> read<std::vector<Session>>(base::ValueSource& source);
template <>
Result<std::vector<Factor>> read<std::vector<Factor>>(base::ValueSource& source);
template <>
Result<std::vector<Finding>> read<std::vector<Finding>>(base::ValueSource& source);
template <>
Result<std::vector<Grant>> read<std::vector<Grant>>(base::ValueSource& source);
template <>
Result<std::vector<Block>> read<std::vector<Block>>(base::ValueSource& source);
template <>
Result<std::string> read<std::string>(base::ValueSource& source);
template <>
Result<std::uint64_t> read<std::uint64_t>(base::ValueSource& source);

/// Takes the descriptor at this place, duplicated with CLOEXEC: it outlives the message.
Result<base::UniqueFd> read_fd(base::ValueSource& source);

} // namespace vigil::wire
