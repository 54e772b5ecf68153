#include "base/dbus_peer.hpp"

#include "base/secret.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/socket.h>

namespace vigil::base {

namespace {

/// Behind `kept`, of which nothing is left to the allocator where it has to move: a code may be in
/// it.
void append_wiping(std::string& kept, std::string_view more) {
    if (kept.size() + more.size() > kept.capacity()) {
        std::string larger;
        larger.reserve(2 * (kept.size() + more.size()));
        larger.append(kept);
        wipe(kept.data(), kept.capacity());
        kept.swap(larger);
    }
    kept.append(more);
}

/// What was taken from the front; what stays is moved over it, and its old place wiped.
void erase_wiping(std::string& kept, std::size_t size) noexcept {
    const std::size_t left = kept.size() - size;
    std::memmove(kept.data(), kept.data() + size, left);
    wipe(kept.data() + left, size);
    kept.resize(left);
}

/// Those that came with a read, all of them owned, in a vector that has the room. False: some did
/// not fit, and are lost.
bool take_rights(msghdr& message, std::vector<UniqueFd>& descriptors) {
    for (cmsghdr* head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
            descriptors.emplace_back(fd);
        }
    }
    return (message.msg_flags & MSG_CTRUNC) == 0;
}

} // namespace

DbusRequest::DbusRequest(const std::shared_ptr<DbusPeer>& peer, DbusMessage message,
                         std::vector<UniqueFd> descriptors) noexcept
    : peer_{peer}, message_{std::move(message)}, descriptors_{std::move(descriptors)} {
    ++peer->waiting_;
}

DbusRequest::~DbusRequest() {
    if (const auto peer = peer_.lock())
        --peer->waiting_;
    wipe(message_.body.data(), message_.body.capacity());
}

DbusReader DbusRequest::reader() const noexcept {
    return DbusReader{message_.body, message_.signature, descriptors_};
}

Result<> DbusRequest::answer(const DbusWriter& values) const {
    return send(nullptr, values);
}

Result<> DbusRequest::refuse(const char* error, const std::string& text) const {
    DbusWriter values;
    if (const int r = values.basic('s', text.c_str()); r < 0)
        return fail(r, "making an answer");
    return send(error, values);
}

Result<> DbusRequest::send(const char* error, const DbusWriter& values) const {
    const auto peer = peer_.lock();
    if (!peer)
        return fail(ECONNRESET, "sending an answer");
    if (!message_.wants_answer)
        return {};
    return peer->send({.reply_to = message_.serial, .error = error}, values);
}

DbusPeer::DbusPeer(UniqueFd socket, std::string guid)
    : socket_{std::move(socket)}, guid_{std::move(guid)} {}

DbusPeer::~DbusPeer() {
    wipe(received_.data(), received_.capacity());
    wipe(unsent_.data(), unsent_.capacity());
}

/// False: there is no more now. Descriptors come in the order of the messages that they are of, and
/// wait for them; whoever sends more than one message could have is hung up on.
Result<bool> DbusPeer::read_more() {
    std::array<char, 4096> bytes;
    alignas(cmsghdr) char rights[CMSG_SPACE(max_dbus_descriptors * sizeof(int))];
    // Here, for what throws between a descriptor's coming and its owner's would lose it.
    descriptors_.reserve(descriptors_.size() + max_dbus_descriptors);
    iovec part{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = rights;
    message.msg_controllen = sizeof rights;
    ssize_t got = -1;
    do
        got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got < 0)
        return fail(errno, "reading from a peer");
    const bool all_came = take_rights(message, descriptors_);
    append_wiping(received_, {bytes.data(), static_cast<std::size_t>(got)});
    wipe(bytes.data(), static_cast<std::size_t>(got));
    if (got == 0)
        return fail(ECONNRESET, "the peer hung up");
    if (!all_came || descriptors_.size() > max_dbus_descriptors)
        return fail(EMSGSIZE, "too many descriptors");
    return static_cast<std::size_t>(got) == bytes.size();
}

Result<> DbusPeer::receive(const Handler& handler) {
    is_receiving_ = true;
    auto more = read_more();
    // Whoever keeps talking does not keep the loop: what he says then is there the next time.
    for (int reads = 1; more; ++reads) {
        auto taken = take_greeting();
        if (taken && is_greeted_)
            taken = take_messages(handler);
        if (!taken)
            return taken;
        if (!*more || reads == max_reads_at_once)
            break;
        more = read_more();
    }
    is_receiving_ = false;
    if (!more)
        return std::unexpected{more.error()};
    return flush();
}

Result<> DbusPeer::take_greeting() {
    while (!is_greeted_) {
        const auto line = take_line();
        if (!line)
            return std::unexpected{line.error()};
        if (!*line)
            break;
    }
    return {};
}

/// One line of the handshake. False: it is not whole yet.
Result<bool> DbusPeer::take_line() {
    // The first byte is a credential's carrier elsewhere, and nothing here.
    const bool is_first = lines_ == 0;
    const std::size_t begin = is_first ? 1 : 0;
    if (is_first && !received_.empty() && received_.front() != '\0')
        return fail(EBADMSG, "shaking hands");
    const std::size_t end = received_.find("\r\n");
    if (end == received_.npos && received_.size() <= max_greeting_line_bytes)
        return false;
    if (end > max_greeting_line_bytes || ++lines_ > max_greeting_lines)
        return fail(EBADMSG, "shaking hands");
    const auto line = std::string_view{received_}.substr(begin, end - begin);
    if (line == "AUTH EXTERNAL")
        say("DATA\r\n");
    else if (line == "DATA" || line.starts_with("DATA ") || line.starts_with("AUTH EXTERNAL ")) {
        is_known_ = true;
        say("OK " + guid_ + "\r\n");
    } else if (line == "NEGOTIATE_UNIX_FD" && is_known_)
        say("AGREE_UNIX_FD\r\n");
    else if (line == "BEGIN" && is_known_)
        is_greeted_ = true;
    else if (line.starts_with("AUTH") || line == "CANCEL" || line.starts_with("ERROR"))
        say("REJECTED EXTERNAL\r\n");
    else
        say("ERROR\r\n");
    erase_wiping(received_, end + 2);
    return true;
}

Result<> DbusPeer::take_messages(const Handler& handler) {
    while (received_.size() >= dbus_prefix_bytes) {
        const auto size = dbus_size(received_);
        if (!size)
            return std::unexpected{size.error()};
        if (received_.size() < *size)
            break;
        auto message = parse_dbus(std::string_view{received_}.substr(0, *size));
        erase_wiping(received_, *size);
        if (!message)
            return std::unexpected{message.error()};
        auto descriptors = take_descriptors(message->descriptors);
        if (!descriptors) {
            wipe(message->body.data(), message->body.capacity());
            return std::unexpected{descriptors.error()};
        }
        if (message->kind == DbusMessage::Kind::call) // nothing was asked, nothing is subscribed to
            handler(std::make_shared<DbusRequest>(shared_from_this(), std::move(*message),
                                                  std::move(*descriptors)));
    }
    return {};
}

Result<std::vector<UniqueFd>> DbusPeer::take_descriptors(std::size_t count) {
    if (count > descriptors_.size())
        return fail(EBADMSG, "reading a message");
    const auto end = descriptors_.begin() + static_cast<std::ptrdiff_t>(count);
    std::vector<UniqueFd> taken{std::move_iterator{descriptors_.begin()}, std::move_iterator{end}};
    descriptors_.erase(descriptors_.begin(), end);
    return taken;
}

/// What has gone out is not kept for somebody who reads slowly, and never all.
void DbusPeer::say(std::string_view text) {
    erase_wiping(unsent_, std::exchange(sent_, 0));
    append_wiping(unsent_, text);
}

Result<> DbusPeer::send(const DbusAnswer& answer, const DbusWriter& values) {
    if (++serial_ == 0)
        ++serial_;
    const auto header = dbus_header(answer, serial_, values);
    if (!header)
        return std::unexpected{header.error()};
    if (unsent_.size() - sent_ + header->size() + values.bytes().size() > max_unread_bytes) {
        ::shutdown(socket_.get(), SHUT_RDWR); // whoever watches it is told of the end
        return fail(ENOBUFS, "the peer does not read");
    }
    say(*header);
    say(values.bytes());
    if (is_receiving_)
        return {};
    auto flushed = flush();
    if (has_unsent() && when_unsent_)
        when_unsent_();
    return flushed;
}

Result<> DbusPeer::flush() {
    while (has_unsent()) {
        const ssize_t sent = ::send(socket_.get(), unsent_.data() + sent_, unsent_.size() - sent_,
                                    MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) {
            sent_ += static_cast<std::size_t>(sent);
        } else if (errno == EAGAIN) {
            return {};
        } else if (errno != EINTR) {
            return fail(errno == EPIPE ? ECONNRESET : errno, "sending to a peer");
        }
    }
    wipe(unsent_.data(), unsent_.size());
    unsent_.clear();
    sent_ = 0;
    return {};
}

} // namespace vigil::base
