// Messages of any shape and with any values, as a peer may send them: read() refuses them, or what
// it read is within the bounds, so that append() takes it and gives it back the same.

#include "wire/bus_codec.hpp"
#include "wire/names.hpp"

#include <array>
#include <cstdlib>
#include <string_view>

#include <sys/socket.h>

using namespace vigil;
using namespace vigil::wire;

namespace {

/// The codec's own, and some that are nearly so.
constexpr std::array signatures{"(suassss)",
                                "ust",
                                "u(suassss)s",
                                "usasst",
                                "ssbay",
                                "a{sv}",
                                "sss",
                                "(ssussttb)",
                                "s",
                                "t",
                                "",
                                "su",
                                "uas",
                                "a{ss}",
                                "(suasss)",
                                "aa{sv}",
                                "a(ssussttb)",
                                "ayayayaaybbbay",
                                "as",
                                "u(suassss)sssbay",
                                "sssay",
                                "ssayas"};
/// What a variant may hold.
constexpr std::array contents{"s", "u", "t", "b", "as", "ay", "v", "a{sv}", "(s)"};
constexpr std::array keys{"id",     "user",      "uid",     "terminals", "since",
                          "locked", "host",      "factors", "warnings",  "ends_at",
                          "state",  "uncovered", "version", "degraded",  "wait_seconds",
                          "rule",   "run_as",    "expires", "uses_left"};
constexpr int max_depth = 8;

/// The fuzzer's bytes, as choices; zeros once they are used up.
class Choices {
public:
    explicit Choices(std::string_view bytes) noexcept : bytes_{bytes} {}

    unsigned byte() noexcept {
        if (bytes_.empty())
            return 0;
        const auto value = static_cast<unsigned char>(bytes_.front());
        bytes_.remove_prefix(1);
        return value;
    }

    template <std::size_t Count>
    const char* one_of(const std::array<const char*, Count>& list) noexcept {
        return list[byte() % Count];
    }

    std::string text() {
        // Long ones for a byte: the bounds are far apart.
        const std::size_t size = byte();
        if (size >= 0xF0)
            return std::string((size - 0xEF) * 300, 'x');
        const std::string value{bytes_.substr(0, size)};
        bytes_.remove_prefix(value.size());
        return value.substr(0, value.find('\0'));
    }

    std::uint64_t number() noexcept {
        std::uint64_t value = 0;
        for (unsigned left = byte() % 9; left > 0; --left)
            value = value << 8 | byte();
        return value;
    }

private:
    std::string_view bytes_;
};

/// Values along a signature. What sd-bus does not take (bad UTF-8) ends the message there.
class Filler {
public:
    Filler(sd_bus_message* message, Choices& choices) noexcept
        : message_{message}, choices_{choices} {}

    bool fill(std::string_view signature, int depth = 0) {
        while (!signature.empty()) {
            const std::size_t size = one_type(signature);
            if (!value(signature.substr(0, size), depth))
                return false;
            signature.remove_prefix(size);
        }
        return true;
    }

private:
    static std::size_t one_type(std::string_view signature) {
        if (signature[0] == 'a')
            return 1 + one_type(signature.substr(1));
        if (signature[0] != '(' && signature[0] != '{')
            return 1;
        std::size_t at = 1;
        while (signature[at] != ')' && signature[at] != '}')
            at += one_type(signature.substr(at));
        return at + 1;
    }

    bool value(std::string_view type, int depth) {
        const auto number = [&] { return choices_.number(); };
        switch (type[0]) {
        case 's':
            return basic('s', (is_key_ ? key() : choices_.text()).c_str());
        case 'u': {
            const auto small = static_cast<std::uint32_t>(number());
            return basic('u', &small);
        }
        case 't': {
            const std::uint64_t large = number();
            return basic('t', &large);
        }
        case 'b': {
            const int truth = choices_.byte() % 2 == 0 ? 0 : 1;
            return basic('b', &truth);
        }
        case 'y': {
            const auto byte = static_cast<std::uint8_t>(choices_.byte());
            return basic('y', &byte);
        }
        case 'a':
            return array(type.substr(1), depth);
        case 'v':
            return variant(depth);
        default:
            return container(type[0] == '(' ? 'r' : 'e', type.substr(1, type.size() - 2), depth);
        }
    }

    std::string key() {
        is_key_ = false;
        return choices_.byte() % 8 == 0 ? choices_.text() : choices_.one_of(keys);
    }

    bool array(std::string_view item, int depth) {
        if (depth > max_depth || !open('a', item))
            return false;
        unsigned count = choices_.byte();
        count = count >= 0xFE ? 1023 + (count - 0xFE) * 2 : count % 24; // about max_groups
        for (; count > 0; --count)
            if (!fill(item, depth + 1))
                return false;
        return close();
    }

    bool variant(int depth) {
        const std::string_view type = choices_.one_of(contents);
        return depth <= max_depth && open('v', type) && fill(type, depth + 1) && close();
    }

    bool container(char kind, std::string_view types, int depth) {
        if (!open(kind, types))
            return false;
        is_key_ = kind == 'e';
        return fill(types, depth + 1) && close();
    }

    bool basic(char type, const void* value) {
        return sd_bus_message_append_basic(message_, type, value) >= 0;
    }
    bool open(char kind, std::string_view types) {
        return sd_bus_message_open_container(message_, kind, std::string{types}.c_str()) >= 0;
    }
    bool close() { return sd_bus_message_close_container(message_) >= 0; }

    sd_bus_message* message_;
    Choices& choices_;
    bool is_key_ = false;
};

/// A connection that nobody answers: messages are made for one.
sd_bus* connection() {
    int ends[2];
    sd_bus* bus = nullptr;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0 ||
        sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, ends[0], ends[0]) < 0 || sd_bus_start(bus) < 0)
        std::abort();
    return bus;
}

base::BusMessage make() {
    static const base::Bus bus{connection()};
    sd_bus_message* message = nullptr;
    if (sd_bus_message_new_signal(bus.get(), &message, "/x", "x.x", "X") < 0)
        std::abort();
    return base::BusMessage{message};
}

template <typename T>
void read_as(sd_bus_message* message) {
    if (sd_bus_message_rewind(message, 1) < 0)
        std::abort();
    const auto value = read<T>(message);
    if (!value)
        return;
    if constexpr (!std::is_same_v<T, std::string> && !std::is_same_v<T, std::uint64_t>) {
        const base::BusMessage again = make();
        if (!append(again.get(), *value) || sd_bus_message_seal(again.get(), 1, 0) < 0 ||
            sd_bus_message_rewind(again.get(), 1) < 0)
            std::abort();
        const auto same = read<T>(again.get());
        if (!same || !(*same == *value))
            std::abort();
    }
}

template <typename... Types>
void read_as_each(sd_bus_message* message) {
    (read_as<Types>(message), ...);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    Choices choices{{reinterpret_cast<const char*>(data), size}};
    const base::BusMessage message = make();
    if (!Filler{message.get(), choices}.fill(choices.one_of(signatures)) ||
        sd_bus_message_seal(message.get(), 1, 0) < 0)
        return 0;
    read_as_each<Login, ReserveReply, StepUpRequest, AskReply, Proof, ProveReply, LockInfo, Session,
                 Status, Enrollment, KeyEnrollment, KeyChallenge, std::vector<Session>,
                 std::vector<Factor>, std::vector<Finding>, std::vector<Grant>, std::vector<Block>,
                 Command, RecoveryCodes, std::string, std::uint64_t>(message.get());
    // The second of two values in a message is read behind the first.
    if (sd_bus_message_rewind(message.get(), 1) >= 0 && read<StepUpRequest>(message.get())) {
        const auto proof = read<Proof>(message.get());
        if (proof && proof->answer.size() > max_answer_bytes)
            std::abort();
    }
    return 0;
}
