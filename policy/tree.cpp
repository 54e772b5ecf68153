#include "policy/tree.hpp"

#include "base/yaml.hpp"
#include "policy/scalars.hpp"

#include <algorithm>

namespace vigil::policy {

namespace {

/// More than any mapping of the language has; keeps the search for duplicates short.
constexpr std::size_t max_keys = 64;

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

unsigned char byte_at(std::string_view text, std::size_t i) noexcept {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
}

/// Length of the UTF-8 character at `i` (RFC 3629: no overlong form, no surrogate), 0 if it is
/// none.
std::size_t character_at(std::string_view text, std::size_t i) noexcept {
    const unsigned char lead = byte_at(text, i);
    if (lead < 0x80)
        return 1;
    const std::size_t length = lead >= 0xc2 && lead <= 0xdf   ? 2
                               : lead >= 0xe0 && lead <= 0xef ? 3
                               : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                              : 0;
    if (length == 0 || i + length > text.size())
        return 0;
    const unsigned char second = byte_at(text, i + 1);
    const unsigned least = lead == 0xe0 ? 0xa0U : lead == 0xf0 ? 0x90U : 0x80U;
    const unsigned most = lead == 0xed ? 0x9fU : lead == 0xf4 ? 0x8fU : 0xbfU;
    if (second < least || second > most)
        return 0;
    for (std::size_t k = 2; k < length; ++k) {
        if ((byte_at(text, i + k) & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

/// C0, DEL and C1: what a terminal could take for a command.
bool is_control(std::string_view text, std::size_t i) noexcept {
    const unsigned char c = byte_at(text, i);
    return c < 0x20 || c == 0x7f || (c == 0xc2 && byte_at(text, i + 1) < 0xa0);
}

bool has_control(std::string_view text) noexcept {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is_control(text, i))
            return true;
    }
    return false;
}

Position position_of(std::string_view text, std::size_t offset) noexcept {
    Position position;
    for (std::size_t i = 0; i < std::min(offset, text.size()); ++i) {
        if (text[i] == '\n')
            position = {.line = position.line + 1, .column = 1};
        else if ((byte_at(text, i) & 0xc0) != 0x80)
            ++position.column;
    }
    return position;
}

Position position_of(const yaml_mark_t& mark) noexcept {
    return {.line = mark.line + 1, .column = mark.column + 1};
}

/// What can be said of the bytes before YAML looks at them.
std::optional<Error> check_bytes(const Source& source) {
    const std::string_view text = source.text;
    if (text.size() > max_file_bytes)
        return error_at(source, {}, "the file is over 256 KiB; split it over policy.d/*.yaml");
    if (text.starts_with(byte_order_mark))
        return error_at(source, {},
                        "the file starts with a byte order mark; save it as UTF-8 without");
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = character_at(text, i);
        if (length == 0)
            return error_at(source, position_of(text, i), "not UTF-8; save the file as UTF-8");
        if (is_control(text, i) && text[i] != '\n' && text[i] != '\r' && text[i] != '\t')
            return error_at(source, position_of(text, i), "a control character; take it out");
        i += length;
    }
    return std::nullopt;
}

/// Builds the tree from libyaml's events. The first thing wrong stays in error_ and ends the
/// reading.
class Builder {
public:
    explicit Builder(const Source& source) : source_{source}, parser_{base::make_yaml_parser()} {
        yaml_parser_set_encoding(parser_.get(), YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(parser_.get(),
                                     reinterpret_cast<const unsigned char*>(source.text.data()),
                                     source.text.size());
    }

    Result<Node> document() {
        Node root;
        read_document(root);
        if (error_)
            return std::unexpected{*std::move(error_)};
        return root;
    }

private:
    void refuse(Position position, const std::string& what) {
        if (!error_)
            error_ = error_at(source_, position, what);
    }

    /// False at an error. Fills an event that owns nothing yet.
    bool next(base::YamlEvent& event) {
        if (yaml_parser_parse(parser_.get(), event.get()) != 0)
            return true;
        const yaml_parser_t& parser = *parser_;
        if (parser.error == YAML_MEMORY_ERROR)
            throw std::bad_alloc{};
        const std::string problem = parser.problem != nullptr ? parser.problem : "not YAML";
        const Position position = parser.error == YAML_READER_ERROR
                                      ? position_of(source_.text, parser.problem_offset)
                                      : position_of(parser.problem_mark);
        refuse(position, problem + "; check indentation, quotes and brackets up to here");
        return false;
    }

    void read_document(Node& root) {
        base::YamlEvent stream;
        base::YamlEvent start;
        if (!next(stream) || !next(start))
            return;
        if (start->type == YAML_STREAM_END_EVENT)
            return refuse({}, "the file is empty; write `version: 1`");
        const auto& head = start->data.document_start;
        if (head.version_directive != nullptr ||
            head.tag_directives.start != head.tag_directives.end)
            return refuse(position_of(start->start_mark), "a % directive; take it out");
        base::YamlEvent first;
        if (!next(first))
            return;
        const bool nothing = first->type == YAML_SCALAR_EVENT && first->data.scalar.length == 0 &&
                             first->data.scalar.plain_implicit != 0;
        if (nothing && first->data.scalar.anchor == nullptr)
            return refuse(position_of(first->start_mark),
                          "the file says nothing; write `version: 1`");
        read_node(first, root, 1);
        base::YamlEvent end;
        base::YamlEvent after;
        if (error_ || !next(end) || !next(after))
            return;
        if (after->type != YAML_STREAM_END_EVENT)
            return refuse(position_of(after->start_mark), "a second document; one file holds one");
        if (root.kind != Node::Kind::mapping)
            refuse(root.position, "not a mapping; write `version: 1` and the keys below it");
    }

    void refuse_properties(Position position, const yaml_char_t* anchor, const yaml_char_t* tag) {
        if (anchor != nullptr)
            refuse(position, "an anchor (&); write the value out where it is used");
        if (tag != nullptr)
            refuse(position, "a tag (!); take it out, or quote the value");
    }

    void read_node(const base::YamlEvent& event, Node& node, std::size_t depth) {
        node.position = position_of(event->start_mark);
        if (depth > max_depth)
            return refuse(node.position, "nested more than 16 deep; no key needs that");
        switch (event->type) {
        case YAML_SCALAR_EVENT:
            return read_text(event, node);
        case YAML_SEQUENCE_START_EVENT:
            refuse_properties(node.position, event->data.sequence_start.anchor,
                              event->data.sequence_start.tag);
            return read_list(node, depth);
        case YAML_MAPPING_START_EVENT:
            refuse_properties(node.position, event->data.mapping_start.anchor,
                              event->data.mapping_start.tag);
            return read_mapping(node, depth);
        case YAML_ALIAS_EVENT:
            return refuse(node.position, "an alias (*); write the value out, or quote it");
        default:
            return refuse(node.position, "not a value; check what stands before it");
        }
    }

    void read_text(const base::YamlEvent& event, Node& node) {
        const auto& scalar = event->data.scalar;
        refuse_properties(node.position, scalar.anchor, scalar.tag);
        if (scalar.length > max_scalar_bytes)
            return refuse(node.position, "a text over 4 KiB; say it in fewer words");
        node.kind = Node::Kind::text;
        node.text.assign(reinterpret_cast<const char*>(scalar.value), scalar.length);
        node.quoted = scalar.style == YAML_SINGLE_QUOTED_SCALAR_STYLE ||
                      scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
        if (has_control(node.text))
            refuse(node.position,
                   "a control character or line break in a text; write it on one line");
    }

    void read_list(Node& node, std::size_t depth) {
        node.kind = Node::Kind::list;
        while (!error_) {
            base::YamlEvent event;
            if (!next(event) || event->type == YAML_SEQUENCE_END_EVENT)
                return;
            read_node(event, node.items.emplace_back(), depth + 1);
        }
    }

    void read_mapping(Node& node, std::size_t depth) {
        node.kind = Node::Kind::mapping;
        while (!error_) {
            base::YamlEvent event;
            if (!next(event) || event->type == YAML_MAPPING_END_EVENT)
                return;
            Node key;
            read_node(event, key, depth + 1);
            if (error_)
                return;
            check_key(key, node.entries);
            base::YamlEvent value;
            if (error_ || !next(value))
                return;
            Node::Entry& entry = node.entries.emplace_back();
            entry.key = std::move(key.text);
            entry.position = key.position;
            read_node(value, entry.value, depth + 1);
        }
    }

    void check_key(const Node& key, const std::vector<Node::Entry>& others) {
        if (key.kind != Node::Kind::text || key.text.empty())
            return refuse(key.position, "not a key; write a word before the colon");
        if (others.size() >= max_keys)
            return refuse(key.position, "more than 64 keys in one place; no part has so many");
        const auto same = std::ranges::find(others, key.text, &Node::Entry::key);
        if (same != others.end())
            refuse(key.position, key.text.substr(0, 40) + ": given twice, first in line " +
                                     std::to_string(same->position.line) + "; keep one");
    }

    const Source& source_;
    base::YamlParser parser_;
    std::optional<Error> error_;
};

} // namespace

Error error_at(const Source& source, Position position, const std::string& what) {
    return {0, source.name + ":" + std::to_string(position.line) + ":" +
                   std::to_string(position.column) + ": " + what};
}

Result<Node> read_tree(const Source& source) {
    if (auto error = check_bytes(source))
        return std::unexpected{*std::move(error)};
    return Builder{source}.document();
}

} // namespace vigil::policy
