#include "cli/findings.hpp"

#include "base/log.hpp"
#include "cli/config_text.hpp"
#include "cli/output.hpp"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

namespace vigil::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::array styles{"32", "33", "31"}; ///< of each Grade

std::string padded(std::string text, std::size_t width) {
    text.resize(std::max(text.size(), width), ' ');
    return text;
}

std::size_t count(const std::vector<Finding>& findings, Grade grade) noexcept {
    return static_cast<std::size_t>(std::ranges::count(findings, grade, &Finding::grade));
}

std::string number_of(std::size_t number, const char* what) {
    return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

Json text_or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

/// As systemd.syntax(7) has it.
bool is_no(std::string_view value) noexcept {
    constexpr std::array words{"no", "n", "false", "f", "off", "0"};
    return std::ranges::any_of(words, [&](auto word) { return is_same_word(value, word); });
}

/// What its lock leaves free, and not what it is on the way to.
Finding finding_of_lock(const wire::Session& session, const std::string& name) {
    constexpr const char* again = "look again a few seconds later: vigilctl doctor";
    if (session.unlocking)
        return {"session", Grade::warning, name + ": locked, and its unlock is not over yet", again,
                session.id};
    if (session.desktop == "unlocked")
        return {"session", Grade::warning,
                name + ": locked, and its desktop has not said yet that it is", again, session.id};
    const auto notes = session.runs_on.empty() ? "" : "; note: " + joined(session.runs_on, "; ");
    return {"session", Grade::ok, name + ": locked, and all of it is held" + notes, "", session.id};
}

} // namespace

Finding not_looked_at(std::string check, const std::string& why, std::string mend) {
    return {.check = std::move(check),
            .grade = Grade::warning,
            .found = "not looked at: " + why,
            .mend = std::move(mend),
            .looked_at = false};
}

Finding finding_of(const wire::Finding& finding) {
    const auto grade = wire::grade_from_text(finding.result);
    return {.check = finding.check,
            .grade = grade.value_or(Grade::warning),
            .found = finding.found,
            .mend = finding.mend,
            .looked_at = grade.has_value()};
}

std::optional<Finding> finding_of(const wire::Session& session) {
    const bool locked = session.state == "locked";
    if (session.state == "ending" || (session.uncovered.empty() && !locked))
        return std::nullopt;
    const auto id = session.id.substr(0, 8);
    const auto name = id + " of " + session.user;
    if (session.uncovered.empty())
        return finding_of_lock(session, name);
    return Finding{"session", Grade::warning,
                   name + (locked ? ": locked, but not held: " : ": cannot be held: ") +
                       joined(session.uncovered, "; "),
                   "vigilctl terminate --reason TEXT " + id, session.id};
}

Grade worst(const std::vector<Finding>& findings) noexcept {
    auto grade = Grade::ok;
    for (const auto& finding : findings)
        grade = std::max(grade, finding.grade);
    return grade;
}

Json to_json(const std::vector<Finding>& findings) {
    Json checks = Json::array();
    for (const auto& finding : findings)
        checks.push_back({{"check", finding.check},
                          {"result", wire::to_text(finding.grade)},
                          {"looked_at", finding.looked_at},
                          {"found", finding.found},
                          {"mend", text_or_null(finding.mend)},
                          {"session", text_or_null(finding.session)}});
    return {{"result", wire::to_text(worst(findings))}, {"checks", checks}};
}

std::string findings_text(const std::vector<Finding>& findings, Look look) {
    std::size_t width = 0;
    for (const auto& finding : findings)
        width = std::max(width, finding.check.size());
    std::string text;
    for (const auto& finding : findings) {
        std::string grade = padded(wire::to_text(finding.grade), 9);
        if (look.colour)
            grade = std::string{"\x1B["} + styles[static_cast<std::size_t>(finding.grade)] + "m" +
                    grade + "\x1B[0m";
        text += grade + base::escape(padded(finding.check, width)) + "  " +
                base::escape(finding.found) + "\n";
        if (!finding.mend.empty())
            text += std::string(9 + width + 2, ' ') + "mend: " + base::escape(finding.mend) + "\n";
    }
    return text + std::to_string(count(findings, Grade::ok)) + " ok, " +
           number_of(count(findings, Grade::warning), "warning") + ", " +
           number_of(count(findings, Grade::failure), "failure") + "\n";
}

std::optional<bool> delegate_in(std::string_view drop_in) {
    constexpr std::string_view key = "Delegate";
    std::optional<bool> said;
    bool in_scope = false;
    while (!drop_in.empty()) {
        const auto line = take_line(drop_in);
        if (line.starts_with('['))
            in_scope = line == "[Scope]";
        const auto equals = line.find('=');
        if (in_scope && equals != line.npos && trimmed(line.substr(0, equals)) == key)
            said = !is_no(trimmed(line.substr(equals + 1)));
    }
    return said;
}

std::optional<std::vector<std::string>> forwards_in(std::string_view settings) {
    constexpr std::array names{"AllowTcpForwarding", "AllowStreamLocalForwarding"};
    const bool none = setting_of(settings, "DisableForwarding") == "yes";
    std::vector<std::string> allowed;
    for (const char* const name : names) {
        const auto value = setting_of(settings, name);
        if (value.empty())
            return std::nullopt;
        if (!none && value != "no")
            allowed.push_back(std::string{name} + " " + std::string{value});
    }
    return allowed;
}

} // namespace vigil::cli
