#include "policy/digest.hpp"

#include <type_traits>

namespace vigil::policy {

namespace {

/// FNV-1a over every field, each with its length, so that no two rules run into each other.
class Digest {
public:
    template <typename Number>
        requires std::is_integral_v<Number> || std::is_enum_v<Number>
    void add(Number number) {
        auto bits = static_cast<std::uint64_t>(number);
        for (int i = 0; i < 8; ++i, bits >>= 8)
            add_byte(static_cast<std::uint8_t>(bits));
    }
    void add(const std::string& text) {
        add(text.size());
        for (const char c : text)
            add_byte(static_cast<std::uint8_t>(c));
    }
    void add(const Network& network) {
        for (const auto byte : network.address)
            add_byte(byte);
        add(network.prefix);
        add(network.local);
    }
    void add(const Window& window) {
        for (const bool day : window.days)
            add(day);
        add(window.from_minute);
        add(window.to_minute);
    }
    void add(const CommandPattern& pattern) {
        add(pattern.path);
        add(pattern.arguments);
        add(pattern.more);
    }
    template <typename T>
    void add(const std::vector<T>& list) {
        add(list.size());
        for (const auto& item : list)
            add(item);
    }

    std::string text() const {
        constexpr const char* digits = "0123456789abcdef";
        std::string out;
        for (int shift = 60; shift >= 0; shift -= 4)
            out += digits[(hash_ >> shift) & 0xF];
        return out;
    }

private:
    void add_byte(std::uint8_t byte) { hash_ = (hash_ ^ byte) * 0x100000001b3; }

    std::uint64_t hash_ = 0xcbf29ce484222325;
};

/// A plain choice has the digest that older stores have.
void add_require(Digest& out, const std::vector<Factors>& require) {
    Factors plain;
    for (const auto& way : require)
        if (way.size() == 1)
            plain.push_back(way.front());
    if (plain.size() == require.size()) {
        out.add(plain);
        return;
    }
    out.add(UINT64_MAX); // no list is so long
    out.add(require);
}

} // namespace

std::string digest(const StepUpRule& rule) {
    const auto& [users, groups, services, from, not_from, when, classes, run_as, commands] =
        rule.match;
    Digest out;
    out.add(users);
    out.add(groups);
    out.add(services);
    out.add(from);
    out.add(not_from);
    out.add(when);
    out.add(classes);
    out.add(run_as);
    add_require(out, rule.require);
    out.add(rule.valid_for.count());
    out.add(rule.scope);
    out.add(rule.uses.has_value());
    out.add(rule.uses.value_or(0));
    // Rules without have the digest that older stores have.
    if (!commands.empty())
        out.add(commands);
    if (rule.key_verified)
        out.add(rule.key_verified);
    if (!rule.approvers.users.empty() || !rule.approvers.groups.empty()) {
        out.add(rule.approvers.users);
        out.add(rule.approvers.groups);
    }
    if (rule.enroll_within) {
        out.add(UINT64_MAX);
        out.add(rule.enroll_within->count());
    }
    return out.text();
}

std::vector<std::string> digests(const std::vector<StepUpRule>& rules) {
    std::vector<std::string> all;
    for (const auto& rule : rules) {
        if (all.empty()) { // as older stores have it
            all.push_back(digest(rule));
            continue;
        }
        Digest both;
        both.add(all.back());
        both.add(digest(rule));
        all.push_back(both.text());
    }
    return all;
}

} // namespace vigil::policy
