#pragma once
// Reads mappings by a table of keys. The first problem is kept and the rest is read on regardless,
// so that what reads a key needs no error path of its own.

#include "policy/tree.hpp"

#include <span>

namespace vigil::policy {

class Reader {
public:
    explicit Reader(const Source& source) : source_{source} {}

    bool ok() const noexcept { return !error_; }
    const std::optional<Error>& error() const noexcept { return error_; }

    void refuse(Position position, const std::string& what) {
        if (!error_)
            error_ = error_at(source_, position, what);
    }

    /// Refuses a value, naming the key that is being read.
    void refuse_value(const Node& value, const std::string& what) {
        refuse(value.position, key_.empty() ? what : std::string{key_} + ": " + what);
    }

    /// Sets `out` to a value that was read, or refuses it.
    template <typename T, typename Out>
    void take(const Node& value, Result<T> result, Out& out) {
        if (result)
            out = *std::move(result);
        else
            refuse_value(value, result.error().what);
    }

    void set_key(std::string_view key) noexcept { key_ = key; }

    /// Refuses, with the nearest of `known` if one is near.
    void refuse_key(const Node::Entry& entry, std::span<const std::string_view> known);

    bool is_mapping(const Node& node);
    bool is_text(const Node& node);

    /// A list with something in it and at most `most` items.
    bool is_list(const Node& node, std::size_t most);

private:
    const Source& source_;
    std::optional<Error> error_;
    std::string_view key_; ///< of one of the tables
};

template <typename T>
struct Key {
    std::string_view name;
    void (*read)(Reader& reader, const Node& value, T& out);
};

template <typename T, std::size_t Count>
void read_mapping(Reader& reader, const Node& node, const std::array<Key<T>, Count>& keys, T& out) {
    if (!reader.is_mapping(node))
        return;
    for (const Node::Entry& entry : node.entries) {
        const Key<T>* found = nullptr;
        std::array<std::string_view, Count> names;
        for (std::size_t i = 0; i < Count; ++i) {
            names[i] = keys[i].name;
            if (keys[i].name == entry.key)
                found = &keys[i];
        }
        if (found == nullptr)
            return reader.refuse_key(entry, names);
        reader.set_key(found->name);
        found->read(reader, entry.value, out);
        if (!reader.ok())
            return;
    }
}

/// The entry of a mapping that has this key; nullptr if there is none.
const Node::Entry* find_entry(const Node& node, std::string_view key) noexcept;

} // namespace vigil::policy
