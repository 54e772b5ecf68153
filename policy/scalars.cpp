#include "policy/scalars.hpp"

#include "policy/match.hpp"

#include <algorithm>
#include <charconv>

#include <arpa/inet.h>
#include <net/if.h>

namespace vigil::policy {

namespace {

bool is_digit(char c) noexcept {
    return c >= '0' && c <= '9';
}

bool is_digits(std::string_view text) noexcept {
    return !text.empty() && std::ranges::all_of(text, is_digit);
}

/// Plain decimal digits; nullopt also when they do not fit.
std::optional<std::uint64_t> to_number(std::string_view digits) noexcept {
    std::uint64_t number = 0;
    if (!is_digits(digits) ||
        std::from_chars(digits.data(), digits.data() + digits.size(), number).ec != std::errc{})
        return std::nullopt;
    return number;
}

// ---- durations

struct Unit {
    char letter;
    std::uint64_t seconds;
};
constexpr std::array<Unit, 4> units{{{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}}};

std::unexpected<Error> not_a_duration(std::string_view text) {
    if (is_digits(text))
        return fail(quote(text) + " has no unit; say " + std::string{text.substr(0, 12)} +
                    "m for minutes");
    return fail(quote(text) + " is not a duration; say 90s, 5m, 8h, 7d or 1h30m");
}

std::unexpected<Error> too_long(std::string_view text) {
    return fail(quote(text) + " is longer than 3650d; say a shorter time");
}

// ---- windows

constexpr std::array<std::string_view, 7> day_names{"Mon", "Tue", "Wed", "Thu",
                                                    "Fri", "Sat", "Sun"};

std::optional<unsigned> to_day(std::string_view text) noexcept {
    const auto found = std::ranges::find(day_names, text);
    if (found == day_names.end())
        return std::nullopt;
    return static_cast<unsigned>(found - day_names.begin());
}

/// `Mon` or `Fri-Mon`, into `days`.
bool add_days(std::string_view text, std::array<bool, 7>& days) noexcept {
    const std::size_t dash = text.find('-');
    const auto first = to_day(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : to_day(text.substr(dash + 1));
    if (!first || !last)
        return false;
    for (unsigned day = *first;; day = (day + 1) % 7) {
        days[day] = true;
        if (day == *last)
            return true;
    }
}

bool read_days(std::string_view text, std::array<bool, 7>& days) noexcept {
    for (;;) {
        const std::size_t comma = text.find(',');
        if (!add_days(text.substr(0, comma), days))
            return false;
        if (comma == std::string_view::npos)
            return true;
        text.remove_prefix(comma + 1);
    }
}

/// `07:30` in minutes, up to 24:00.
std::optional<unsigned> to_minute(std::string_view text) noexcept {
    if (text.size() != 5 || text[2] != ':')
        return std::nullopt;
    const auto hours = to_number(text.substr(0, 2));
    const auto minutes = to_number(text.substr(3, 2));
    if (!hours || !minutes || *minutes > 59 || *hours > 24 || (*hours == 24 && *minutes != 0))
        return std::nullopt;
    return static_cast<unsigned>(*hours * 60 + *minutes);
}

// ---- networks

bool host_bits_are_clear(const Network& network) noexcept {
    for (unsigned bit = network.prefix; bit < 128; ++bit) {
        if ((network.address[bit / 8] >> (7 - bit % 8) & 1) != 0)
            return false;
    }
    return true;
}

std::string network_text(Network network, bool ipv4) {
    for (unsigned bit = network.prefix; bit < 128; ++bit)
        network.address[bit / 8] &= static_cast<std::uint8_t>(~(1U << (7 - bit % 8)));
    char buffer[INET6_ADDRSTRLEN];
    inet_ntop(ipv4 ? AF_INET : AF_INET6, network.address.data() + (ipv4 ? 12 : 0), buffer,
              sizeof buffer);
    return std::string{buffer} + "/" + std::to_string(network.prefix - (ipv4 ? 96 : 0));
}

} // namespace

Result<Seconds> read_duration(std::string_view text) {
    std::uint64_t total = 0;
    std::size_t next_unit = 0;
    std::string_view rest = text;
    if (rest.empty())
        return not_a_duration(text);
    while (!rest.empty()) {
        const auto end = std::ranges::find_if_not(rest, is_digit) - rest.begin();
        const std::string_view digits = rest.substr(0, static_cast<std::size_t>(end));
        rest.remove_prefix(digits.size());
        const auto unit = std::ranges::find_if(
            units.begin() + static_cast<std::ptrdiff_t>(next_unit), units.end(),
            [&](const Unit& known) { return rest.starts_with(known.letter); });
        if (digits.empty() || unit == units.end())
            return not_a_duration(text);
        const auto count = to_number(digits);
        constexpr auto most = static_cast<std::uint64_t>(longest_duration.count());
        if (!count || *count > most / unit->seconds)
            return too_long(text);
        total += *count * unit->seconds;
        next_unit = static_cast<std::size_t>(unit - units.begin()) + 1;
        rest.remove_prefix(1);
    }
    if (total > static_cast<std::uint64_t>(longest_duration.count()))
        return too_long(text);
    return Seconds{total};
}

Result<Network> read_network(std::string_view text) {
    if (text == "local")
        return Network{.address = {}, .prefix = 128, .local = true};
    const std::size_t slash = text.find('/');
    const std::string_view literal = text.substr(0, slash);
    const auto address = parse_address(literal);
    if (!address)
        return fail(quote(text) + " is not a network; say 192.0.2.0/24, 2001:db8::/32 or local "
                                  "(names are never looked up)");
    const bool ipv4 = literal.find(':') == std::string_view::npos;
    const unsigned most = ipv4 ? 32 : 128;
    Network network{.address = *address};
    if (slash != std::string_view::npos) {
        const auto prefix = read_number(text.substr(slash + 1), 0, most);
        if (!prefix)
            return fail(quote(text) + " has a bad prefix; say a number from 0 to " +
                        std::to_string(most) + " after the /");
        network.prefix = *prefix + (ipv4 ? 96 : 0);
    }
    if (!host_bits_are_clear(network))
        return fail(quote(text) + " has bits set beyond the prefix; say " +
                    network_text(network, ipv4));
    return network;
}

Result<Window> read_window(std::string_view text) {
    const std::size_t space = text.find(' ');
    Window window;
    if (space == std::string_view::npos || !read_days(text.substr(0, space), window.days))
        return fail(quote(text) + " is not a time window; say Mon-Fri 07:00-20:00");
    const std::string_view times = text.substr(space + 1);
    const auto from = to_minute(times.substr(0, 5));
    if (times.size() != 11 || times[5] != '-' || !from || *from > 1439)
        return fail(quote(text) + " has no span of time; say 07:00-20:00 after the days");
    const auto to = to_minute(times.substr(6));
    if (!to)
        return fail(quote(text) + " has a bad end; say 07:00-20:00, or 24:00 for midnight");
    if (*from == *to)
        return fail(quote(text) + " ends as it begins; say 00:00-24:00 for whole days");
    window.from_minute = *from;
    window.to_minute = *to == 0 ? 1440 : *to; // until midnight, said the other way
    return window;
}

Result<std::uint32_t> read_number(std::string_view text, std::uint32_t least, std::uint32_t most) {
    const bool plain = is_digits(text) && (text.size() == 1 || text[0] != '0');
    const auto number = plain ? to_number(text) : std::nullopt;
    if (!number || *number < least || *number > most)
        return fail(quote(text) + " is not a number from " + std::to_string(least) + " to " +
                    std::to_string(most) + "; say it in plain digits");
    return static_cast<std::uint32_t>(*number);
}

Result<std::string> read_name(std::string_view text) {
    if (text.empty())
        return fail("an empty name; take it out");
    if (text.size() > 256)
        return fail(quote(text) + " is longer than 256 bytes; no account has such a name");
    if (text.find_first_of("*?") != std::string_view::npos ||
        std::string_view{"!%@"}.find(text[0]) != std::string_view::npos)
        return fail(quote(text) + " looks like a pattern; names are compared as they are: list "
                                  "them, or use groups");
    return std::string{text};
}

Result<Activity> read_activity(std::string_view text) {
    constexpr std::array<std::string_view, 4> words{"input", "output", "bytes", "cpu"};
    std::array<bool, words.size()> given{};
    std::string_view rest = text;
    while (true) {
        const std::string_view word = rest.substr(0, rest.find('+'));
        const auto known = std::ranges::find(words, word);
        if (known == words.end())
            return fail(quote(word) + " is no activity; say input+output+bytes+cpu, or input and "
                                      "some of the others");
        bool& before = given[static_cast<std::size_t>(known - words.begin())];
        if (before)
            return fail(quote(word) + " is given twice; take one out");
        before = true;
        if (word.size() == rest.size())
            break;
        rest.remove_prefix(word.size() + 1);
    }
    if (!given[0])
        return fail("without input whoever types would be ended; put input in front");
    return Activity{.output = given[1], .bytes = given[2], .processor = given[3]};
}

std::optional<Address> parse_address(std::string_view text) noexcept {
    char buffer[INET6_ADDRSTRLEN + 1];
    if (text.size() >= sizeof buffer || text.find('\0') != std::string_view::npos)
        return std::nullopt;
    buffer[text.copy(buffer, sizeof buffer - 1)] = '\0';
    Address address{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (inet_pton(AF_INET, buffer, address.data() + 12) == 1)
        return address;
    if (inet_pton(AF_INET6, buffer, address.data()) == 1)
        return address;
    return std::nullopt;
}

bool is_zone(std::string_view text) noexcept {
    return !text.empty() && text.size() < IFNAMSIZ &&
           std::ranges::all_of(
               text, [](char c) { return c > ' ' && c < 0x7f && c != '%' && c != '/'; });
}

std::string quote(std::string_view text) {
    constexpr std::size_t most = 40;
    if (text.size() <= most)
        return "'" + std::string{text} + "'";
    std::size_t cut = most;
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80)
        --cut;
    return "'" + std::string{text.substr(0, cut)} + "...'";
}

} // namespace vigil::policy
