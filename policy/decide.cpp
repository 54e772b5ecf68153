#include "policy/decide.hpp"

#include "policy/match.hpp"
#include "policy/scalars.hpp"

#include <algorithm>

namespace vigil::policy {

namespace {

/// Fills in what the rules above left open.
class Settings {
public:
    void take(const SessionRule& rule) {
        if (!matched_) {
            matched_ = true;
            decision_.rule = rule.name;
        }
        first(access_, rule.access);
        first(message_, rule.message);
        first(idle_warn_, rule.idle_warn);
        first(idle_lock_, rule.idle_lock);
        first(idle_terminate_, rule.idle_terminate);
        first(max_duration_, rule.max_duration);
        first(warn_before_end_, rule.warn_before_end);
        first(max_sessions_, rule.max_sessions);
        first(unlock_, rule.unlock);
    }

    SessionDecision decision() && {
        put(access_, decision_.access);
        if (decision_.access == Access::deny)
            put(message_, decision_.message);
        put(idle_warn_, decision_.idle_warn);
        put(idle_lock_, decision_.idle_lock);
        put(idle_terminate_, decision_.idle_terminate);
        put(max_duration_, decision_.max_duration);
        put(warn_before_end_, decision_.warn_before_end);
        put(max_sessions_, decision_.max_sessions);
        put(unlock_, decision_.unlock);
        return std::move(decision_);
    }

private:
    template <typename T>
    static void first(const T*& setting, const std::optional<T>& value) noexcept {
        if (setting == nullptr && value)
            setting = &*value;
    }

    template <typename T>
    static void put(const T* setting, T& out) {
        if (setting != nullptr)
            out = *setting;
    }

    bool matched_ = false;
    SessionDecision decision_;
    const Access* access_ = nullptr;
    const std::string* message_ = nullptr;
    const Seconds* idle_warn_ = nullptr;
    const Seconds* idle_lock_ = nullptr;
    const Seconds* idle_terminate_ = nullptr;
    const Seconds* max_duration_ = nullptr;
    const std::vector<Seconds>* warn_before_end_ = nullptr;
    const MaxSessions* max_sessions_ = nullptr;
    const std::vector<Factor>* unlock_ = nullptr;
};

bool run_as_holds(const StepUpRule& rule, const std::optional<std::string>& run_as) noexcept {
    if (rule.match.run_as.empty())
        return true;
    if (!run_as)
        return !rule.require.empty();
    return std::ranges::find(rule.match.run_as, *run_as) != rule.match.run_as.end();
}

} // namespace

SessionDecision decide_session(const Policy& policy, const Facts& facts, const Now& now) {
    const LocalTime time = local_time(now);
    Settings settings;
    for (const SessionRule& rule : policy.sessions) {
        if (matches(rule.match, facts, time, leaning(rule)))
            settings.take(rule);
    }
    return std::move(settings).decision();
}

StepUpDecision decide_step_up(const Policy& policy, const Facts& facts,
                              const std::optional<std::string>& run_as, const Now& now) {
    const LocalTime time = local_time(now);
    for (std::size_t i = 0; i < policy.step_up.size(); ++i) {
        const StepUpRule& rule = policy.step_up[i];
        if (!run_as_holds(rule, run_as) || !matches(rule.match, facts, time, leaning(rule)))
            continue;
        return {.verdict = rule.require.empty() ? StepUpDecision::Verdict::none
                                                : StepUpDecision::Verdict::prove,
                .rule = i,
                .require = rule.require,
                .valid_for = rule.valid_for,
                .scope = rule.scope,
                .uses = rule.uses};
    }
    return {};
}

RemoteHost parse_remote_host(const std::string& text) {
    if (text.empty())
        return {};
    const std::string_view whole{text};
    const std::size_t percent = whole.find('%');
    const std::optional<Address> address = parse_address(whole.substr(0, percent));
    if (address && percent != std::string_view::npos &&
        (is_ipv4(*address) || !is_zone(whole.substr(percent + 1))))
        return {.address = std::nullopt, .is_remote = true};
    return {.address = address, .is_remote = true};
}

const char* to_text(Factor factor) noexcept {
    switch (factor) {
    case Factor::password:
        return "password";
    case Factor::totp:
        return "totp";
    }
    return "unknown";
}

const char* to_text(Mode mode) noexcept {
    switch (mode) {
    case Mode::enforce:
        return "enforce";
    case Mode::observe:
        return "observe";
    }
    return "unknown";
}

std::optional<Factor> factor_from_text(const std::string& text) noexcept {
    for (const Factor factor : {Factor::password, Factor::totp}) {
        if (text == to_text(factor))
            return factor;
    }
    return std::nullopt;
}

} // namespace vigil::policy
