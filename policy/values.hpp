#pragma once
// What the rules of all kinds are read with: words, lists, times, and the conditions they share.

#include "policy/reader.hpp"
#include "policy/scalars.hpp"

#include <algorithm>

namespace vigil::policy {

inline constexpr std::size_t max_list = 1024;

template <typename T>
struct Word {
    std::string_view text;
    T value;
};

/// One of a few words.
template <typename T, std::size_t Count, typename Out>
void read_word(Reader& reader, const Node& node, const std::array<Word<T>, Count>& words,
               Out& out) {
    if (!reader.is_text(node))
        return;
    std::string choices;
    for (const Word<T>& word : words) {
        if (node.text == word.text) {
            out = word.value;
            return;
        }
        choices += (choices.empty() ? "" : ", ") + std::string{word.text};
    }
    reader.refuse_value(node,
                        quote(node.text) + " is not known to this version; known: " + choices);
}

/// A list of a few words, none twice.
template <typename T, std::size_t Count>
std::vector<T> read_words(Reader& reader, const Node& node,
                          const std::array<Word<T>, Count>& words) {
    std::vector<T> values;
    if (!reader.is_list(node, Count + 1))
        return values;
    for (const Node& item : node.items) {
        T value{};
        read_word(reader, item, words, value);
        if (std::ranges::find(values, value) != values.end())
            reader.refuse_value(item, quote(item.text) + " is given twice; take one out");
        values.push_back(value);
    }
    return values;
}

template <typename T>
void read_list(Reader& reader, const Node& node, Result<T> (*read)(std::string_view),
               std::vector<T>& out) {
    if (!reader.is_list(node, max_list))
        return;
    out.resize(node.items.size());
    for (std::size_t i = 0; i < out.size() && reader.ok(); ++i) {
        if (reader.is_text(node.items[i]))
            reader.take(node.items[i], read(node.items[i].text), out[i]);
    }
}

/// A duration of a second at least. `if_never`: what `never` means, nullopt where it means nothing.
inline void read_time(Reader& reader, const Node& node, std::optional<Seconds> if_never,
                      std::optional<Seconds>& out) {
    if (!reader.is_text(node))
        return;
    if (node.text == "never" && if_never) {
        out = *if_never;
        return;
    }
    reader.take(node, read_duration(node.text), out);
    if (out && *out == Seconds{0})
        reader.refuse_value(node, quote(node.text) + " is no time at all; say 1s or more" +
                                      (if_never ? ", or never" : ""));
}

template <std::vector<std::string> Match::* Names>
void read_names(Reader& reader, const Node& node, Match& match) {
    read_list<std::string>(reader, node, read_name, match.*Names);
}

template <std::vector<Network> Match::* Networks>
void read_networks(Reader& reader, const Node& node, Match& match) {
    read_list<Network>(reader, node, read_network, match.*Networks);
}

inline void read_windows(Reader& reader, const Node& node, Match& match) {
    read_list<Window>(reader, node, read_window, match.when);
}

/// A limit; `never`: none, and no rule below is asked.
template <typename Rule, std::optional<Seconds> Rule::* Setting>
void read_limit(Reader& reader, const Node& node, Rule& rule) {
    read_time(reader, node, never, rule.*Setting);
}

inline constexpr std::size_t max_warnings = 16;

/// How long before an end it is told; `never`: not at all.
inline void read_warnings(Reader& reader, const Node& node, std::vector<Seconds>& warnings) {
    if (node.kind == Node::Kind::text && node.text == "never")
        return;
    if (!reader.is_list(node, max_warnings))
        return;
    for (const Node& item : node.items) {
        std::optional<Seconds> time;
        read_time(reader, item, std::nullopt, time);
        if (!reader.ok())
            return;
        if (std::ranges::find(warnings, *time) != warnings.end())
            reader.refuse_value(item, quote(item.text) + " is given twice; take one out");
        warnings.push_back(*time);
    }
    std::ranges::sort(warnings, std::ranges::greater{});
}

// A warning has to come before what it warns of.

inline void check_idle_warn(Reader& reader, const Node& node, const std::optional<Seconds>& warning,
                            const std::optional<Seconds>& end) {
    const Node::Entry* entry = find_entry(node, "idle_warn");
    if (entry != nullptr && end && *warning >= *end)
        reader.refuse(entry->value.position,
                      "idle_warn: not shorter than idle_terminate; it is the time before the end");
}

inline void check_warnings(Reader& reader, const Node& node,
                           const std::optional<std::vector<Seconds>>& warnings,
                           const std::optional<Seconds>& end) {
    const Node::Entry* entry = find_entry(node, "warn_before_end");
    if (entry != nullptr && end && !warnings->empty() && warnings->front() >= *end)
        reader.refuse(entry->value.position,
                      "warn_before_end: not shorter than max_duration; it is the time before that");
}

} // namespace vigil::policy
