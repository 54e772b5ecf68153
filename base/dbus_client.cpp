#include "base/dbus_client.hpp"

#include "base/clock.hpp"
#include "base/local_socket.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>

namespace vigil::base {

using namespace std::string_view_literals;

namespace {

/// Who we are is the kernel's to say (SO_PEERCRED), so nobody is named (D-Bus Specification,
/// Authentication Protocol). All of it at once: what comes back is known beforehand. The call goes
/// with it, and its descriptors with the first byte: the other end is base/dbus_peer.hpp, which
/// keeps them for the message that they are of, and each wait for an answer is one less.
constexpr auto greeting = "\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"sv;
constexpr std::size_t max_line_bytes = 256;
constexpr std::uint32_t serial = 1; // there is one call

std::unexpected<Error> hung_up() {
    return fail(ECONNRESET, "the other side hung up");
}

using Parts = std::array<iovec, 3>;

/// What is left to send of `parts` after `sent` bytes of them.
void advance(Parts& parts, std::size_t sent) noexcept {
    for (iovec& part : parts) {
        const std::size_t step = std::min(sent, part.iov_len);
        part.iov_base = static_cast<char*>(part.iov_base) + step;
        part.iov_len -= step;
        sent -= step;
    }
}

/// Descriptors beside the first byte that is sent.
class Rights {
public:
    explicit Rights(const std::vector<int>& descriptors) noexcept {
        const std::size_t size = descriptors.size() * sizeof(int);
        if (size == 0)
            return;
        auto* const head = reinterpret_cast<cmsghdr*>(bytes_);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(size);
        std::memcpy(CMSG_DATA(head), descriptors.data(), size);
        size_ = CMSG_SPACE(size);
    }

    void join(msghdr& message) noexcept {
        message.msg_control = size_ == 0 ? nullptr : bytes_;
        message.msg_controllen = size_;
        size_ = 0; // once
    }
    void put_back(const msghdr& message) noexcept { size_ = message.msg_controllen; }

private:
    alignas(cmsghdr) char bytes_[CMSG_SPACE(max_dbus_descriptors * sizeof(int))] = {};
    std::size_t size_ = 0;
};

/// An error reply's words are its first text.
Error error_of(const DbusMessage& message) {
    const char* text = nullptr;
    auto reader = message.reader();
    const bool has_text = message.signature.starts_with('s') && reader.basic('s', &text) > 0;
    return Error{EIO, has_text && *text != '\0' ? text : message.error};
}

} // namespace

Result<DbusClient> DbusClient::connect(const char* path, BootTime deadline, int cancel) {
    auto socket = connect_socket(path, deadline);
    if (!socket)
        return std::unexpected{socket.error()};
    return DbusClient{std::move(*socket), deadline, cancel};
}

Result<> DbusClient::wait_for(short events) const {
    while (true) {
        const int left = milliseconds_until(deadline_);
        if (left == 0)
            return fail(ETIMEDOUT, "waiting for an answer");
        std::array<pollfd, 2> waited{{{socket_.get(), events, 0}, {cancel_, POLLIN, 0}}};
        const int r = ::poll(waited.data(), waited.size(), left);
        if (r > 0 && waited[1].revents != 0)
            return fail(ECANCELED, "waiting for an answer");
        if (r > 0)
            return {};
        if (r < 0 && errno != EINTR)
            return fail(errno, "waiting for an answer");
    }
}

Result<> DbusClient::send(std::string_view header, const DbusWriter& arguments) const {
    const auto& descriptors = arguments.descriptors();
    if (descriptors.size() > max_dbus_descriptors)
        return fail(EMSGSIZE, "sending descriptors");
    const auto part = [](std::string_view text) {
        return iovec{const_cast<char*>(text.data()), text.size()};
    };
    Parts parts{part(greeting), part(header), part(arguments.bytes())};
    Rights rights{descriptors};
    while (parts.back().iov_len + parts[1].iov_len + parts[0].iov_len > 0) {
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = parts.size();
        rights.join(message);
        const ssize_t sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            advance(parts, static_cast<std::size_t>(sent));
            continue;
        }
        rights.put_back(message);
        if (errno == EPIPE || errno == ECONNRESET)
            return hung_up();
        if (errno != EAGAIN && errno != EINTR)
            return fail(errno, "sending a message");
        if (auto ready = wait_for(POLLOUT); !ready)
            return ready;
    }
    return {};
}

/// More of what comes. Descriptors that come with it are the kernel's to close: there is no place
/// for them.
Result<> DbusClient::receive() {
    std::array<char, 4096> bytes;
    while (true) {
        if (auto ready = wait_for(POLLIN); !ready)
            return ready;
        const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (got > 0) {
            received_.append(bytes.data(), static_cast<std::size_t>(got));
            return {};
        }
        if (got == 0 || errno == ECONNRESET)
            return hung_up();
        if (errno != EAGAIN && errno != EINTR)
            return fail(errno, "reading an answer");
    }
}

Result<std::string> DbusClient::read_line() {
    while (true) {
        const std::size_t end = received_.find("\r\n");
        if (end <= max_line_bytes) {
            std::string line = received_.substr(0, end);
            received_.erase(0, end + 2);
            return line;
        }
        if (received_.size() > max_line_bytes)
            return fail(EBADMSG, "shaking hands");
        if (auto more = receive(); !more)
            return std::unexpected{more.error()};
    }
}

Result<> DbusClient::shake_hands() {
    for (const std::string_view expected : {"DATA", "OK ", "AGREE_UNIX_FD"}) {
        const auto line = read_line();
        if (!line)
            return std::unexpected{line.error()};
        const bool fits = expected.ends_with(' ') ? line->starts_with(expected) : *line == expected;
        if (!fits)
            return fail(EBADMSG, "shaking hands");
    }
    return {};
}

Result<DbusMessage> DbusClient::read_message() {
    std::size_t size = dbus_prefix_bytes;
    while (true) {
        if (received_.size() >= dbus_prefix_bytes) {
            const auto whole = dbus_size(received_);
            if (!whole)
                return std::unexpected{whole.error()};
            size = *whole;
        }
        if (received_.size() >= size)
            break;
        if (auto more = receive(); !more)
            return std::unexpected{more.error()};
    }
    auto message = parse_dbus(std::string_view{received_}.substr(0, size));
    received_.erase(0, size);
    if (message && message->descriptors != 0)
        return fail(EBADMSG, "reading a message");
    return message;
}

Result<DbusMessage> DbusClient::call(const DbusCall& what, const DbusWriter& arguments) {
    const auto header = dbus_header(what, serial, arguments);
    if (!header)
        return std::unexpected{header.error()};
    if (auto sent = send(*header, arguments); !sent)
        return std::unexpected{sent.error()};
    if (auto ready = shake_hands(); !ready)
        return std::unexpected{ready.error()};
    while (true) {
        auto message = read_message();
        if (!message)
            return message;
        if (message->reply_to != serial) // a signal, or somebody's call: nothing was asked for
            continue;
        if (message->kind == DbusMessage::Kind::reply)
            return message;
        if (message->kind == DbusMessage::Kind::error)
            return std::unexpected{error_of(*message)};
    }
}

} // namespace vigil::base
