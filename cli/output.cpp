#include "cli/output.hpp"

#include "base/log.hpp"
#include "wire/names.hpp"

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <unordered_map>

#include <nlohmann/json.hpp>

namespace vigil::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t shortest_id = 8;

WallTime wall(std::uint64_t microseconds) {
    return WallTime{Microseconds{static_cast<std::int64_t>(microseconds)}};
}

Json limit(std::uint64_t seconds) {
    return seconds == wire::unlimited ? Json(nullptr) : Json(seconds);
}

Json word(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

Json moment(std::uint64_t microseconds) {
    return microseconds == 0 ? Json(nullptr) : Json(rfc3339(microseconds));
}

Json happened(std::uint64_t at, const std::string& by) {
    return at == 0 ? Json(nullptr) : Json{{"at", rfc3339(at)}, {"by", by}};
}

template <typename... Arguments>
std::string print(const char* format, Arguments... arguments) {
    char text[64];
    std::snprintf(text, sizeof text, format, arguments...);
    return text;
}

std::string_view style_of(const std::string& state) {
    if (state == "locked")
        return "33";
    return state == "ending" ? "31" : "";
}

std::string next_text(const wire::Session& session, const Now& now) {
    if (session.next_action.empty())
        return "";
    // The contract's word is long for a column.
    const auto& action = session.next_action;
    return (action == "terminate" ? "end" : action) + " " + clock_text(session.next_at, now);
}

/// "name   value" lines.
class Details {
public:
    explicit Details(Look look) noexcept : look_{look} {}
    void add(const std::string& name, const std::string& value, std::string_view style = {}) {
        if (value.empty())
            return;
        const std::string shown = base::escape(value);
        text_ += print("%-16s ", name.c_str());
        if (look_.colour && !style.empty())
            text_ += "\x1B[" + std::string{style} + "m" + shown + "\x1B[0m\n";
        else
            text_ += shown + "\n";
    }
    std::string take() { return std::move(text_); }

private:
    Look look_;
    std::string text_;
};

} // namespace

std::string joined(const std::vector<std::string>& texts, const char* between) {
    std::string all;
    for (const auto& text : texts)
        all += (all.empty() ? "" : between) + text;
    return all;
}

namespace {

Json own_fields(const wire::Session& session) {
    Json next = nullptr;
    if (!session.next_action.empty())
        next = {{"action", session.next_action}, {"at", rfc3339(session.next_at)}};
    return {{"id", session.id},
            {"user", session.user},
            {"uid", session.uid},
            {"service", session.service},
            {"terminals", session.terminals},
            {"remote_host", session.remote_host},
            {"logind_session", session.logind_session},
            {"leader_pid", session.leader_pid},
            {"since", rfc3339(session.since)},
            {"idle_seconds", session.idle_seconds},
            {"state", session.state},
            {"locked_since", moment(session.locked_since)},
            {"rule", session.rule},
            {"limits",
             {{"idle_lock", limit(session.idle_lock)},
              {"idle_terminate", limit(session.idle_terminate)},
              {"max_duration", limit(session.max_duration)}}},
            {"next", next},
            {"locked_by", word(session.locked_by)},
            {"last_lock", happened(session.last_lock_at, session.last_lock_by)},
            {"last_unlock", happened(session.last_unlock_at, session.last_unlock_by)},
            {"desktop", word(session.desktop)},
            {"uncovered", session.uncovered},
            {"runs_on", session.runs_on},
            {"login", word(session.login)},
            {"run_as", word(session.run_as)}};
}

} // namespace

Json to_json(const wire::Session& session, const std::vector<wire::Session>& elevated) {
    auto fields = own_fields(session);
    Json below = Json::array();
    for (const auto& one : elevated)
        below.push_back(own_fields(one));
    fields["elevated"] = std::move(below);
    return fields;
}

std::vector<Listed> by_login(const std::vector<wire::Session>& sessions) {
    std::vector<Listed> all;
    std::unordered_map<std::string_view, std::size_t> places;
    const auto add = [&](const wire::Session& session) {
        places.emplace(session.id, all.size());
        all.push_back({session, {}});
    };
    for (const auto& session : sessions)
        if (session.login.empty())
            add(session);
    for (const auto& session : sessions) {
        if (session.login.empty())
            continue;
        if (const auto login = places.find(session.login); login != places.end())
            all[login->second].elevated.push_back(session);
        else
            add(session);
    }
    return all;
}

Json to_json(const wire::Factor& factor) {
    return {{"id", factor.id},
            {"user", factor.user},
            {"uid", factor.uid},
            {"kind", factor.kind},
            {"name", factor.name},
            {"created", rfc3339(factor.created)},
            {"last_used", moment(factor.last_used)},
            {"active", factor.active}};
}

Json to_json(const wire::Grant& grant) {
    return {{"id", grant.id},
            {"kind", grant.source.empty() ? "step-up" : "login"},
            {"session", word(grant.session)},
            {"user", grant.user},
            {"uid", grant.uid},
            {"terminal", word(grant.terminal)},
            {"rule", grant.rule == 0 ? Json(nullptr) : Json(grant.rule)},
            {"run_as", grant.run_as == "*" ? Json(nullptr) : word(grant.run_as)},
            {"expires", rfc3339(grant.expires)},
            {"uses_left", limit(grant.uses_left)},
            {"source", word(grant.source)},
            {"after", word(grant.after)}};
}

Json to_json(const wire::Request& request) {
    return {{"id", request.id},
            {"digest", request.digest},
            {"user", request.user},
            {"runner", word(request.runner)},
            {"host", request.host},
            {"service", request.service},
            {"terminal", word(request.terminal)},
            {"run_as", word(request.run_as)},
            {"command", request.command},
            {"directory", word(request.directory)},
            {"reason", word(request.reason)},
            {"since", rfc3339(request.since)},
            {"until", rfc3339(request.until)},
            {"own", request.own}};
}

namespace {

Json to_json(const wire::Block& block) {
    return {{"user", block.user},
            {"uid", block.uid},
            {"reason", block.reason},
            {"by", block.by},
            {"since", rfc3339(block.since)},
            {"until", moment(block.until)}};
}

} // namespace

Json to_json(const wire::Status& status, const std::optional<std::vector<wire::Block>>& blocks) {
    Json blocked = nullptr;
    if (blocks) {
        blocked = Json::array();
        for (const auto& block : *blocks)
            blocked.push_back(to_json(block));
    }
    const auto problem = [](const std::string& text) {
        return text.empty() ? Json(nullptr) : Json(text);
    };
    return {{"version", status.version},
            {"mode", status.mode},
            {"rehearsed_until", moment(status.rehearsed_until)},
            {"degraded", status.degraded},
            {"started", moment(status.started)},
            {"policy_path", status.policy_path},
            {"policy_loaded", moment(status.policy_loaded)},
            {"policy_error", problem(status.policy_error)},
            {"store_error", problem(status.store_error)},
            {"factors_error", problem(status.factors_error)},
            {"sessions", status.sessions},
            {"locked", status.locked},
            {"grants", status.grants},
            {"blocked", blocked}};
}

std::string json_text(const Json& json) {
    return json.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

std::string rfc3339(std::uint64_t microseconds) {
    using namespace std::chrono;
    const auto time = floor<Seconds>(wall(microseconds));
    const auto day = floor<days>(time);
    const year_month_day date{day};
    const hh_mm_ss clock{time - day};
    return print("%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                 static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                 static_cast<int>(clock.seconds().count()));
}

std::string clock_text(std::uint64_t microseconds, const Now& now) {
    using namespace std::chrono;
    const auto time = floor<minutes>(wall(microseconds) + now.utc_offset);
    const auto day = floor<days>(time);
    const hh_mm_ss clock{time - day};
    const std::string text = print("%02d:%02d", static_cast<int>(clock.hours().count()),
                                   static_cast<int>(clock.minutes().count()));
    if (day == floor<days>(now.wall + now.utc_offset))
        return text;
    const year_month_day date{day};
    return print("%04d-%02u-%02u ", static_cast<int>(date.year()),
                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day())) +
           text;
}

/// As the policy writes it, in its two largest units: "45s", "1m30s", "12h".
std::string duration_text(std::uint64_t seconds) {
    using Number = unsigned long long;
    if (seconds == wire::unlimited)
        return "none";
    struct Unit {
        std::uint64_t size;
        std::uint64_t next;
        const char* name;
        const char* next_name;
    };
    for (const auto& unit :
         {Unit{86'400, 3600, "d", "h"}, Unit{3600, 60, "h", "m"}, Unit{60, 1, "m", "s"}}) {
        if (seconds < unit.size)
            continue;
        const auto rest = seconds % unit.size / unit.next;
        return print("%llu%s", static_cast<Number>(seconds / unit.size), unit.name) +
               (rest == 0 ? "" : print("%02llu%s", static_cast<Number>(rest), unit.next_name));
    }
    return print("%llus", static_cast<Number>(seconds));
}

std::size_t short_id_length(const std::vector<wire::Session>& sessions) {
    std::vector<std::string> ids;
    for (const auto& session : sessions)
        ids.push_back(session.id);
    std::ranges::sort(ids);
    std::size_t length = shortest_id;
    for (std::size_t i = 1; i < ids.size(); ++i) {
        const auto differs = std::ranges::mismatch(ids[i - 1], ids[i]);
        length = std::max(length, static_cast<std::size_t>(differs.in1 - ids[i - 1].begin()) + 1);
    }
    return length;
}

std::string session_table(const std::vector<wire::Session>& sessions, const Now& now, Look look) {
    if (sessions.empty())
        return "No sessions.\n";
    const std::size_t length = short_id_length(sessions);
    std::vector<Row> rows;
    const auto add = [&](const wire::Session& session, const std::string& indent) {
        const bool elevated = !session.login.empty();
        rows.push_back({{indent + session.id.substr(0, length)},
                        {elevated ? session.run_as : session.user},
                        {session.state, style_of(session.state)},
                        {session.service},
                        {joined(session.terminals, " ")},
                        {clock_text(session.since, now)},
                        {duration_text(session.idle_seconds)},
                        {next_text(session, now)},
                        {elevated ? "" : session.remote_host}});
    };
    for (const auto& listed : by_login(sessions)) {
        add(listed.session, "");
        for (const auto& elevated : listed.elevated)
            add(elevated, "  ");
    }
    return table({"ID", "USER", "STATE", "SERVICE", "TERMINAL", "SINCE", "IDLE", "NEXT", "FROM"},
                 rows, look);
}

std::string session_details(const wire::Session& session, const Now& now, Look look) {
    Details details{look};
    details.add("id", session.id);
    details.add("user", session.user + " (" + std::to_string(session.uid) + ")");
    details.add("state", session.state, style_of(session.state));
    details.add("service", session.service);
    details.add("runs as", session.run_as);
    details.add("login", session.login);
    details.add("terminals", joined(session.terminals, " "));
    details.add("from", session.remote_host);
    details.add("logind session", session.logind_session);
    details.add("leader", std::to_string(session.leader_pid));
    details.add("since", clock_text(session.since, now));
    details.add("idle for", duration_text(session.idle_seconds));
    if (session.locked_since != 0)
        details.add("locked since", clock_text(session.locked_since, now));
    details.add("locked", session.locked_by);
    if (session.last_lock_at != 0 && session.locked_since == 0)
        details.add("last lock",
                    clock_text(session.last_lock_at, now) + " " + session.last_lock_by);
    if (session.last_unlock_at != 0)
        details.add("last unlock",
                    clock_text(session.last_unlock_at, now) + " " + session.last_unlock_by);
    details.add("desktop", session.desktop);
    details.add("rule", session.rule);
    details.add("idle_lock", duration_text(session.idle_lock));
    details.add("idle_terminate", duration_text(session.idle_terminate));
    details.add("max_duration", duration_text(session.max_duration));
    details.add("next", next_text(session, now));
    for (const auto& text : session.uncovered)
        details.add("not held", text, "33");
    for (const auto& text : session.runs_on)
        details.add("note", text);
    return details.take();
}

std::string factor_table(const std::vector<wire::Factor>& factors, const Now& now, Look look) {
    if (factors.empty())
        return "No factors.\n";
    std::vector<Row> rows;
    for (const auto& factor : factors) {
        rows.push_back({{factor.id},
                        {factor.user},
                        {factor.kind},
                        {factor.name},
                        {clock_text(factor.created, now)},
                        {factor.last_used == 0 ? "never" : clock_text(factor.last_used, now)},
                        {factor.active ? "active" : "pending", factor.active ? "" : "33"}});
    }
    return table({"ID", "USER", "KIND", "NAME", "CREATED", "USED", "STATE"}, rows, look);
}

namespace {

/// "login from 192.0.2.1 with key SHA256:…".
std::string login_text(const wire::Grant& grant) {
    return "login from " + grant.source + " with " +
           (grant.after == wire::after_password ? "the password" : "key " + grant.after);
}

} // namespace

std::string grant_table(const std::vector<wire::Grant>& grants, const Now& now, Look look) {
    if (grants.empty())
        return "No grants.\n";
    std::vector<Row> rows;
    std::string logins;
    for (const auto& grant : grants) {
        if (!grant.source.empty()) {
            logins +=
                base::escape(grant.id.substr(0, shortest_id) + "  " + grant.user + ": " +
                             login_text(grant) + ", until " + clock_text(grant.expires, now)) +
                "\n";
            continue;
        }
        const auto uses =
            grant.uses_left == wire::unlimited ? "any" : std::to_string(grant.uses_left);
        rows.push_back({{grant.id.substr(0, shortest_id)},
                        {grant.user},
                        {grant.session.substr(0, shortest_id)},
                        {grant.terminal.empty() ? "all" : grant.terminal},
                        {std::to_string(grant.rule)},
                        {grant.run_as == "*" ? "anybody" : grant.run_as},
                        {clock_text(grant.expires, now)},
                        {uses}});
    }
    std::string text;
    if (!rows.empty())
        text =
            table({"ID", "USER", "SESSION", "TERMINAL", "RULE", "AS", "UNTIL", "USES"}, rows, look);
    if (!logins.empty())
        text += (text.empty() ? "" : "\n") + std::string{"Not asked again:\n"} + logins;
    return text;
}

namespace {

/// As a shell would take it: where one word ends and the next begins is to be seen.
std::string command_line(const wire::Request& request) {
    constexpr const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "/._-=+:,@%";
    std::string line;
    for (const auto& word : request.command) {
        line += line.empty() ? "" : " ";
        if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) {
            line += word;
            continue;
        }
        line += '\'';
        for (const char c : word)
            line += c == '\'' ? std::string{"'\\''"} : std::string{c};
        line += '\'';
    }
    return line.empty() ? "(" + request.service + " does not say)" : line;
}

std::string target_of(const wire::Request& request) {
    return request.run_as.empty() ? "not known" : request.run_as;
}

} // namespace

std::string request_table(const std::vector<wire::Request>& requests, const Now& now, Look look) {
    if (requests.empty())
        return "No requests.\n";
    std::vector<Row> rows;
    for (const auto& request : requests)
        rows.push_back({{request.id.substr(0, shortest_id)},
                        {request.user + (request.own ? " (you)" : "")},
                        {target_of(request)},
                        {clock_text(request.until, now)},
                        {command_line(request)},
                        {request.reason}});
    return table({"ID", "USER", "AS", "UNTIL", "COMMAND", "REASON"}, rows, look);
}

std::string request_details(const wire::Request& request, const Now& now, Look look) {
    Details details{look};
    details.add("request", request.id.substr(0, shortest_id));
    details.add("user", request.user);
    details.add("who became", request.runner);
    details.add("host", request.host);
    details.add("terminal", request.terminal);
    details.add("by", request.service);
    details.add("runs as", target_of(request));
    details.add("command", command_line(request));
    details.add("directory", request.directory);
    details.add("reason", request.reason.empty() ? "none was given" : request.reason);
    details.add("lapses", clock_text(request.until, now));
    return details.take();
}

namespace {

/// "alice (uid 1000) until 14:02, by root: left the company".
std::string block_text(const wire::Block& block, const Now& now) {
    return block.user + " (uid " + std::to_string(block.uid) + ") " +
           (block.until == 0 ? "until further notice" : "until " + clock_text(block.until, now)) +
           ", by " + block.by + ": " + block.reason;
}

/// "enforce, rehearsed until 14:02".
std::string mode_text(const wire::Status& status, const Now& now) {
    return status.rehearsed_until == 0
               ? status.mode
               : status.mode + ", rehearsed until " + clock_text(status.rehearsed_until, now);
}

} // namespace

std::string status_text(const wire::Status& status, const std::vector<wire::Block>& blocks,
                        const Now& now, Look look) {
    Details details{look};
    details.add("vigild", status.version + (status.degraded ? ", degraded" : ""),
                status.degraded ? "31" : "");
    details.add("mode", mode_text(status, now),
                status.mode == "enforce" && status.rehearsed_until == 0 ? "" : "33");
    details.add("started", clock_text(status.started, now));
    details.add("policy", status.policy_path);
    if (status.policy_loaded != 0)
        details.add("policy loaded", clock_text(status.policy_loaded, now));
    details.add("policy error", status.policy_error, "31");
    details.add("store error", status.store_error, "31");
    details.add("factors error", status.factors_error, "31");
    details.add("sessions",
                std::to_string(status.sessions) + ", " + std::to_string(status.locked) + " locked");
    details.add("grants", std::to_string(status.grants));
    for (const auto& block : blocks)
        details.add("blocked", block_text(block, now), "33");
    return details.take();
}

} // namespace vigil::cli
