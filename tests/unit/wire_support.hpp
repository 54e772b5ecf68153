#pragma once
// Two ends of a connection for the tests of the codec: sd-bus and sd-bus, and sd-bus and our own.

#include "base/dbus_message.hpp"
#include "tests/unit/test.hpp"
#include "wire/bus_codec.hpp"
#include "wire/names.hpp"

#include <sys/socket.h>

namespace vigil::test {

using namespace vigil::wire;
using namespace std::string_literals;

inline base::Bus make_bus(int fd, bool server) {
    sd_bus* raw = nullptr;
    ck_assert_int_ge(sd_bus_new(&raw), 0);
    base::Bus bus{raw};
    ck_assert_int_ge(sd_bus_set_fd(raw, fd, fd), 0);
    if (server)
        ck_assert_int_ge(sd_bus_set_server(raw, 1, sd_id128_t{}), 0);
    ck_assert_int_ge(sd_bus_negotiate_fds(raw, 1), 0);
    ck_assert_int_ge(sd_bus_start(raw), 0);
    return bus;
}

class Pair {
public:
    Pair() {
        int fds[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
                         0);
        server_ = make_bus(fds[0], true);
        client_ = make_bus(fds[1], false);
        while (sd_bus_is_ready(server_.get()) == 0 || sd_bus_is_ready(client_.get()) == 0) {
            ck_assert_int_ge(sd_bus_process(client_.get(), nullptr), 0);
            ck_assert_int_ge(sd_bus_process(server_.get(), nullptr), 0);
        }
    }

    base::BusMessage make() {
        sd_bus_message* raw = nullptr;
        ck_assert_int_ge(
            sd_bus_message_new_signal(client_.get(), &raw, manager_path, manager_interface, "T"),
            0);
        return base::BusMessage{raw};
    }

    /// What the other side receives.
    base::BusMessage send(const base::BusMessage& message) {
        ck_assert_int_ge(sd_bus_send(client_.get(), message.get(), nullptr), 0);
        while (true) {
            sd_bus_message* raw = nullptr;
            ck_assert_int_ge(sd_bus_process(client_.get(), nullptr), 0);
            ck_assert_int_ge(sd_bus_process(server_.get(), &raw), 0);
            if (raw != nullptr && sd_bus_message_is_signal(raw, manager_interface, "T") > 0)
                return base::BusMessage{raw};
            sd_bus_message_unref(raw);
        }
    }

    /// A message with these values, by sd_bus_message_append(3), as received.
    template <typename... Values>
    base::BusMessage raw(const char* signature, Values... values) {
        const base::BusMessage message = make();
        ck_assert_int_ge(sd_bus_message_append(message.get(), signature, values...), 0);
        return send(message);
    }

private:
    base::Bus server_;
    base::Bus client_;
};

/// sd-bus on one side, and on the other what pam_vigil.so and vigil_approval.so carry values with.
class MixedPair {
public:
    MixedPair() {
        int fds[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
                         0);
        bus_ = make_bus(fds[0], true);
        own_ = base::UniqueFd{fds[1]};
        send_all("\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"s);
        while (sd_bus_is_ready(bus_.get()) == 0)
            ck_assert_int_ge(sd_bus_process(bus_.get(), nullptr), 0);
        char handshake[256];
        ck_assert_int_gt(::read(own_.get(), handshake, sizeof handshake), 0);
    }

    /// What sd-bus receives.
    base::BusMessage to_bus(const base::DbusWriter& arguments) {
        const auto header = base::dbus_header(
            {.path = manager_path, .interface = manager_interface, .member = "T"}, 1, arguments);
        CHECK_OK(header);
        left_ = *header + std::string{arguments.bytes()};
        while (true) {
            sd_bus_message* raw = nullptr;
            send_some();
            ck_assert_int_ge(sd_bus_process(bus_.get(), &raw), 0);
            if (raw != nullptr && sd_bus_message_is_method_call(raw, manager_interface, "T") > 0)
                return base::BusMessage{raw};
            sd_bus_message_unref(raw);
        }
    }

    /// What arrives of a message of sd-bus's.
    template <typename T>
    base::DbusMessage from_bus(const T& value) {
        sd_bus_message* raw = nullptr;
        ck_assert_int_ge(
            sd_bus_message_new_signal(bus_.get(), &raw, manager_path, manager_interface, "T"), 0);
        const base::BusMessage message{raw};
        CHECK_OK(append(raw, value));
        ck_assert_int_ge(sd_bus_send(bus_.get(), raw, nullptr), 0);
        std::string bytes;
        while (bytes.size() < base::dbus_prefix_bytes || bytes.size() < *base::dbus_size(bytes)) {
            ck_assert_int_ge(sd_bus_process(bus_.get(), nullptr), 0);
            char some[4096];
            const ssize_t got = ::read(own_.get(), some, sizeof some);
            if (got > 0)
                bytes.append(some, static_cast<std::size_t>(got));
        }
        auto parsed = base::parse_dbus(bytes);
        CHECK_OK(parsed);
        return std::move(*parsed);
    }

private:
    void send_some() {
        const ssize_t sent = ::send(own_.get(), left_.data(), left_.size(), MSG_NOSIGNAL);
        if (sent > 0)
            left_.erase(0, static_cast<std::size_t>(sent));
    }
    void send_all(std::string text) {
        for (left_ = std::move(text); !left_.empty();)
            send_some();
    }

    base::Bus bus_;
    base::UniqueFd own_;
    std::string left_;
};

template <typename T>
void check_reads_back(base::ValueSource& source, const T& value) {
    const auto read_back = read<T>(source);
    CHECK_OK(read_back);
    ck_assert(*read_back == value);
    ck_assert_int_eq(source.at_end(), 1);
}

template <typename T>
void check_roundtrip(Pair& pair, const T& value, const char* signature) {
    const base::BusMessage message = pair.make();
    CHECK_OK(append(message.get(), value));
    const base::BusMessage received = pair.send(message);
    CHECK_TEXT(sd_bus_message_get_signature(received.get(), 1), signature);
    base::BusSource source{received.get()};
    check_reads_back(source, value);

    base::DbusWriter writer;
    CHECK_OK(append(writer, value));
    CHECK_TEXT(writer.signature(), signature);
    base::DbusReader reader{writer.bytes(), writer.signature()};
    check_reads_back(reader, value);

    MixedPair mixed;
    const base::BusMessage taken = mixed.to_bus(writer);
    CHECK_TEXT(sd_bus_message_get_signature(taken.get(), 1), signature);
    base::BusSource taken_source{taken.get()};
    check_reads_back(taken_source, value);

    const base::DbusMessage given = mixed.from_bus(value);
    CHECK_TEXT(given.signature, signature);
    auto given_reader = given.reader();
    check_reads_back(given_reader, value);
}

inline Login some_login() {
    return {.user = "alice",
            .uid = 1000,
            .groups = {"alice", "sudo", "größe"},
            .service = "sshd",
            .terminal = "ssh",
            .remote_host = "2001:db8::1%eth0"};
}

inline Session some_session() {
    return {.id = std::string(32, 'a'),
            .user = "alice",
            .uid = 1000,
            .service = "sshd",
            .terminals = {"pts/3", "pts/4"},
            .remote_host = "192.0.2.1",
            .logind_session = "c1",
            .leader_pid = 4242,
            .since = 1,
            .idle_seconds = 2,
            .state = "locked",
            .locked_since = 3,
            .rule = "everyone",
            .idle_lock = 4,
            .idle_terminate = 5,
            .max_duration = 6,
            .next_action = "terminate",
            .next_at = 7,
            .locked_by = "by root",
            .last_lock_at = 5,
            .last_lock_by = "by root",
            .last_unlock_at = 4,
            .last_unlock_by = "by password at /dev/pts/3",
            .desktop = "locked",
            .uncovered = {"process 7 (cat)"},
            .runs_on = {"user unit a.service"}};
}

inline Factor some_factor() {
    return {.id = "f1",
            .user = "alice",
            .uid = 1000,
            .kind = "totp",
            .name = "phone",
            .created = 1,
            .last_used = 2,
            .active = true};
}

} // namespace vigil::test
