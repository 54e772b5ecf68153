#pragma once
// A policy file as a tree of mappings, lists and texts with their positions: the small part of YAML
// the language uses, and nothing else. Bounds are those of parse.hpp.

#include "policy/parse.hpp"

namespace vigil::policy {

/// Counted from 1, in characters, as editors do.
struct Position {
    std::size_t line = 1;
    std::size_t column = 1;
};

struct Node {
    enum class Kind { text, list, mapping };
    struct Entry;

    Kind kind = Kind::text;
    Position position;
    std::string text;           ///< one line of valid UTF-8 without control characters
    bool quoted = false;        ///< of a text: so that an empty one is meant
    std::vector<Node> items;    ///< of a list
    std::vector<Entry> entries; ///< of a mapping, keys unique
};

struct Node::Entry {
    std::string key;
    Position position;
    Node value;
};

/// `file:line:column: what`
Error error_at(const Source& source, Position position, const std::string& what);

/// The file's one document, which is a mapping. Throws std::bad_alloc.
Result<Node> read_tree(const Source& source);

} // namespace vigil::policy
