#include "wire/login_mark.hpp"

#include "base/unique_fd.hpp"
#include "wire/beside.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vigil::wire {

namespace {

constexpr std::string_view asking = "asks";
constexpr std::string_view letting_in = "none";
constexpr std::string_view user_word = "user ";
constexpr std::string_view group_word = "group ";
constexpr std::string_view service_word = "service ";
constexpr std::array<std::string_view, 2> past_auth{"sshd", "login"};

/// What stands before `end`; it and `end` are taken away.
std::string_view take(std::string_view& text, char end) {
    const auto size = std::min(text.find(end), text.size());
    const auto part = text.substr(0, size);
    text.remove_prefix(std::min(size + 1, text.size()));
    return part;
}

void append(std::string& text, std::string_view word, const std::vector<std::string>& names) {
    for (const auto& name : names) {
        text += '\t';
        text += word;
        // Nobody is called so.
        std::ranges::replace_copy_if(
            name, std::back_inserter(text), [](char c) { return c == '\t' || c == '\n'; }, '?');
    }
}

/// A condition of one kind: not given, or met by one of its names.
struct Condition {
    bool is_given = false;
    bool is_met = false;

    void note(bool meets) {
        is_given = true;
        is_met = is_met || meets;
    }
    bool holds() const { return !is_given || is_met; }
};

/// nullopt: what no vigild of this version wrote.
std::optional<bool> matches(std::string_view line, const Entrant& entrant, bool in_doubt) {
    Condition user;
    Condition group;
    Condition service;
    while (!line.empty()) {
        const auto word = take(line, '\t');
        if (word.starts_with(user_word))
            user.note(word.substr(user_word.size()) == entrant.user);
        else if (word.starts_with(group_word))
            group.note(entrant.groups != nullptr
                           ? std::ranges::find(*entrant.groups, word.substr(group_word.size())) !=
                                 entrant.groups->end()
                           : in_doubt);
        else if (word.starts_with(service_word))
            service.note(word.substr(service_word.size()) == entrant.service);
        else
            return std::nullopt;
    }
    return user.holds() && group.holds() && service.holds();
}

/// nullopt: there is none. "?": there is something that cannot be read.
std::optional<std::string> read_mark(const std::string& path) {
    const base::UniqueFd file{
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)};
    if (!file && errno == ENOENT)
        return std::nullopt;
    struct stat status{};
    if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
        status.st_uid != 0 || status.st_size > static_cast<off_t>(max_login_mark_bytes))
        return "?";
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    return ::read(file.get(), text.data(), text.size()) == status.st_size ? text : "?";
}

} // namespace

std::string text_of(const std::vector<LoginRule>& rules) {
    std::string text;
    for (const auto& rule : rules) {
        text += rule.asks ? asking : letting_in;
        append(text, user_word, rule.users);
        append(text, group_word, rule.groups);
        append(text, service_word, rule.services);
        text += '\n';
    }
    return text;
}

bool asks(std::string_view mark, const Entrant& entrant) {
    while (!mark.empty()) {
        auto line = take(mark, '\n');
        const auto word = take(line, '\t');
        const auto holds = matches(line, entrant, word == asking);
        if (!holds || (word != asking && word != letting_in))
            return true;
        if (*holds)
            return word == asking;
    }
    return false;
}

bool needs_proof_by_mark(const std::string& socket, const Entrant& entrant) {
    if (entrant.uid == 0 || std::ranges::find(past_auth, entrant.service) == past_auth.end())
        return false;
    const auto mark = read_mark(beside(socket, login_mark));
    return mark && asks(*mark, entrant);
}

} // namespace vigil::wire
