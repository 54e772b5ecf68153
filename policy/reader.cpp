#include "policy/reader.hpp"

#include "policy/scalars.hpp"

#include <algorithm>
#include <numeric>

namespace vigil::policy {

namespace {

/// Keys that later versions of the language have, so that nobody looks for a slip of the pen.
constexpr std::array<std::string_view, 8> later_keys{
    "approvers", "by", "extensions", "factor", "key", "recovery", "source", "times"};

/// Levenshtein's distance, with a swap of neighbours as one step.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> above(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(above.begin(), above.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({change, above[j] + 1, row[j - 1] + 1});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        std::swap(before, above);
        std::swap(above, row);
    }
    return above[b.size()];
}

std::string list(std::span<const std::string_view> names) {
    std::string text;
    for (const std::string_view name : names)
        text += (text.empty() ? "" : ", ") + std::string{name};
    return text;
}

} // namespace

void Reader::refuse_key(const Node::Entry& entry, std::span<const std::string_view> known) {
    const std::string shown = entry.key.size() > 40 ? quote(entry.key) : entry.key;
    if (std::ranges::find(later_keys, entry.key) != later_keys.end())
        return refuse(entry.position, shown + ": not known to this version; take it out");
    constexpr std::size_t longest = 32;
    std::size_t nearest = 3;
    std::string_view name;
    for (const std::string_view candidate : known) {
        const std::size_t far =
            entry.key.size() > longest ? nearest : distance(entry.key, candidate);
        if (far < nearest && far < candidate.size()) {
            nearest = far;
            name = candidate;
        }
    }
    if (!name.empty())
        return refuse(entry.position,
                      shown + ": unknown key; did you mean " + std::string{name} + "?");
    refuse(entry.position, shown + ": unknown key; known here: " + list(known));
}

bool Reader::is_mapping(const Node& node) {
    if (node.kind == Node::Kind::mapping && !node.entries.empty())
        return true;
    refuse_value(node, node.kind == Node::Kind::mapping
                           ? "nothing in the braces; take the key out, or say something"
                           : "not a mapping; write `key: value` lines, or {key: value}");
    return false;
}

bool Reader::is_text(const Node& node) {
    if (node.kind == Node::Kind::text && !node.text.empty())
        return true;
    refuse_value(node, node.kind == Node::Kind::text
                           ? "no value; write one, or take the key out"
                           : "not a single value; write one word or text");
    return false;
}

bool Reader::is_list(const Node& node, std::size_t most) {
    if (node.kind != Node::Kind::list) {
        refuse_value(node, "not a list; write [one, two]");
        return false;
    }
    if (node.items.empty()) {
        refuse_value(node, "an empty list; take the key out, or name something");
        return false;
    }
    if (node.items.size() > most) {
        refuse_value(node.items[most],
                     "more than " + std::to_string(most) + " items; make it shorter");
        return false;
    }
    return true;
}

const Node::Entry* find_entry(const Node& node, std::string_view key) noexcept {
    const auto found = std::ranges::find(node.entries, key, &Node::Entry::key);
    return found == node.entries.end() ? nullptr : &*found;
}

} // namespace vigil::policy
