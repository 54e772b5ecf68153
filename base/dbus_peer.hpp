#pragma once
// The serving end of one connection over a D-Bus socket that has no broker behind it (D-Bus
// Specification, Authentication Protocol), without libsystemd: what sd-bus sets up for each
// connection costs more than most answers. base/dbus_client.hpp is the other end; sd-bus's own
// clients are served as well. It waits for nothing: whoever has the loop says when to go on.

#include "base/dbus_message.hpp"
#include "base/error.hpp"
#include "base/unique_fd.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace vigil::base {

/// Lines of a handshake; beyond them somebody plays.
inline constexpr int max_greeting_lines = 16;
inline constexpr std::size_t max_greeting_line_bytes = 256;
/// Of 4 KiB each, before others have their turn.
inline constexpr int max_reads_at_once = 64;
/// What a peer leaves unread of its answers before it is hung up on.
inline constexpr std::size_t max_unread_bytes = max_dbus_answer_bytes;

class DbusPeer;

/// A call as it came, to be answered once. It may outlive its connection: the answer finds nobody.
class DbusRequest {
public:
    DbusRequest(const std::shared_ptr<DbusPeer>& peer, DbusMessage message,
                std::vector<UniqueFd> descriptors) noexcept;
    DbusRequest(const DbusRequest&) = delete;
    DbusRequest& operator=(const DbusRequest&) = delete;
    ~DbusRequest(); ///< wipes what was said

    const DbusMessage& message() const noexcept { return message_; }
    /// From the first argument on. The request outlives it.
    DbusReader reader() const noexcept;

    /// Both do nothing where no answer is wanted. ECONNRESET: nobody hears it any more; ENOBUFS:
    /// the peer reads nothing, and is hung up on; EINVAL, EMSGSIZE: these values cannot be sent.
    Result<> answer(const DbusWriter& values) const;
    Result<> refuse(const char* error, const std::string& text) const;

private:
    Result<> send(const char* error, const DbusWriter& values) const;

    std::weak_ptr<DbusPeer> peer_;
    DbusMessage message_;
    std::vector<UniqueFd> descriptors_;
};

/// Owned by a shared_ptr, so that a request knows whether it is still there.
class DbusPeer : public std::enable_shared_from_this<DbusPeer> {
public:
    using Handler = std::function<void(std::shared_ptr<DbusRequest>)>;

    /// `socket` does not block. `guid`: 32 hex digits, the server's. Who connected was looked at.
    DbusPeer(UniqueFd socket, std::string guid);
    DbusPeer(const DbusPeer&) = delete;
    DbusPeer& operator=(const DbusPeer&) = delete;
    ~DbusPeer(); ///< wipes what is left unread on either side

    /// Takes all that has come, gives each call to `handler`, which may answer at once, and sends
    /// what there is to say. An error, or what is thrown, is the connection's end: ECONNRESET: it
    /// hung up; EBADMSG, EMSGSIZE: what it says is no D-Bus.
    Result<> receive(const Handler& handler);
    /// Sends on, once the socket takes more. Errors: as above.
    Result<> flush();
    /// Is called when an answer that was not given at once did not go out as a whole.
    void when_unsent(std::function<void()> call) { when_unsent_ = std::move(call); }

    int socket() const noexcept { return socket_.get(); }
    /// Calls that somebody still has.
    std::size_t waiting() const noexcept { return waiting_; }
    bool has_unsent() const noexcept { return sent_ < unsent_.size(); }

private:
    friend class DbusRequest;

    Result<bool> read_more();
    Result<> take_greeting();
    Result<bool> take_line();
    Result<> take_messages(const Handler& handler);
    Result<std::vector<UniqueFd>> take_descriptors(std::size_t count);
    void say(std::string_view text);
    Result<> send(const DbusAnswer& answer, const DbusWriter& values);

    UniqueFd socket_;
    std::string guid_;
    std::function<void()> when_unsent_;
    std::string received_; ///< and not looked at yet
    std::vector<UniqueFd> descriptors_;
    std::string unsent_;
    std::size_t sent_ = 0; ///< of `unsent_`
    std::size_t waiting_ = 0;
    std::uint32_t serial_ = 0;
    int lines_ = 0;
    bool is_known_ = false;     ///< it said who it is, as the kernel has it anyway
    bool is_greeted_ = false;   ///< the handshake is over
    bool is_receiving_ = false; ///< what is to be said goes out together
};

} // namespace vigil::base
