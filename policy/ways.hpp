#pragma once
// Which proofs a rule asks for: one of several ways, each a factor or all of several.

#include "policy/values.hpp"

namespace vigil::policy {

/// What one rule may offer to choose from.
inline constexpr std::size_t max_ways = 16;

/// `totp`, or `{all: [password, totp]}`. `Words`: the factors that are known there; `key`: of the
/// setting.
template <const auto& Words>
void read_way(Reader& reader, const Node& node, const char* key, std::vector<Factors>& ways) {
    static constexpr std::array<Key<Factors>, 1> all_keys{
        {{"all", [](Reader& inner, const Node& list, Factors& factors) {
              factors = read_words(inner, list, Words);
          }}}};
    Factors way;
    if (node.kind == Node::Kind::mapping) {
        read_mapping(reader, node, all_keys, way);
        reader.set_key(key);
        if (reader.ok() && way.size() < 2)
            reader.refuse_value(node, "all: takes two or more; name the one by itself");
    } else {
        way.resize(1);
        read_word(reader, node, Words, way.front());
    }
    // In whatever order they are named.
    if (reader.ok() && std::ranges::any_of(ways, [&](const Factors& other) {
            return std::ranges::is_permutation(other, way);
        }))
        reader.refuse_value(node, "the same is given twice; take one out");
    ways.push_back(std::move(way));
}

/// `none`, one way, or a list of them.
template <const auto& Words>
void read_ways(Reader& reader, const Node& node, const char* key, std::vector<Factors>& ways) {
    if (node.kind == Node::Kind::text && node.text == "none")
        return;
    if (node.kind == Node::Kind::mapping)
        return read_way<Words>(reader, node, key, ways);
    if (node.kind != Node::Kind::list)
        return reader.refuse_value(node, "not none and not a list; say none, or [totp]");
    if (!reader.is_list(node, max_ways))
        return;
    for (const Node& item : node.items)
        read_way<Words>(reader, item, key, ways);
}

} // namespace vigil::policy
