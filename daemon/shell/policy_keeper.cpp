#include "daemon/shell/policy_keeper.hpp"

#include "base/log.hpp"
#include "base/process.hpp"
#include "base/sha256.hpp"
#include "base/unique_fd.hpp"
#include "base/whole_file.hpp"
#include "policy/load.hpp"
#include "wire/login_mark.hpp"
#include "wire/names.hpp"
#include "wire/observing.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vigil::shell {

namespace {

/// The kept copy: for each source its name, a newline, its length, a newline, its text.
std::string pack(const std::vector<policy::Source>& sources) {
    std::string packed;
    for (const auto& source : sources)
        packed += source.name + "\n" + std::to_string(source.text.size()) + "\n" + source.text;
    return packed;
}

Result<std::vector<policy::Source>> unpack(std::string_view packed) {
    std::vector<policy::Source> sources;
    while (!packed.empty()) {
        const auto name_end = packed.find('\n');
        const auto size_end = packed.find('\n', name_end == packed.npos ? name_end : name_end + 1);
        if (size_end == packed.npos)
            return fail(EBADMSG, "the kept copy of the policy");
        std::size_t size = 0;
        const auto digits = packed.substr(name_end + 1, size_end - name_end - 1);
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), size);
        if (error != std::errc{} || end != digits.data() + digits.size() ||
            size > packed.size() - size_end - 1)
            return fail(EBADMSG, "the kept copy of the policy");
        sources.push_back({std::string{packed.substr(0, name_end)},
                           std::string{packed.substr(size_end + 1, size)}});
        packed.remove_prefix(size_end + 1 + size);
    }
    return sources;
}

/// Room for the main file and many fragments.
constexpr std::size_t largest_kept = 16 * policy::max_file_bytes;

std::string digest_of(const std::vector<policy::Source>& sources) {
    const auto bytes = base::sha256(pack(sources));
    return {bytes.begin(), bytes.end()};
}

/// Where and when a login comes from the mark does not say. So such a rule asks at any time, and
/// lets in at none.
std::vector<wire::LoginRule> login_rules(const policy::Policy& policy) {
    std::vector<wire::LoginRule> rules;
    for (const auto& rule : policy.sessions) {
        if (!rule.login_factors)
            continue;
        const auto& match = rule.match;
        const bool asks = !rule.login_factors->empty();
        if (asks || (match.from.empty() && match.not_from.empty() && match.when.empty()))
            rules.push_back({.asks = asks,
                             .users = match.users,
                             .groups = match.groups,
                             .services = match.services});
    }
    return rules;
}

/// Whether it was there. Looked for first: unlink(2) on a file system that nobody may write to says
/// that, whatever is there.
bool remove(const std::string& mark) {
    struct stat node{};
    if (::lstat(mark.c_str(), &node) < 0 && errno == ENOENT)
        return false;
    if (::unlink(mark.c_str()) < 0 && errno != ENOENT)
        base::log_failure("taking " + mark + " away", fail(errno, "unlink"));
    return true;
}

} // namespace

PolicyKeeper::PolicyKeeper(std::string path, std::string state, const std::string& runtime,
                           std::string_view kernel_command_line)
    : path_{std::move(path)}, state_{std::move(state)}, last_good_{state_ + "/policy.last-good"},
      runtime_{runtime}, elevated_mark_{runtime + "/" + wire::elevated_mark},
      observe_only_{wire::says_observe(kernel_command_line)} {}

policy::Policy PolicyKeeper::start(WallTime now) {
    auto chosen = choose(now);
    mark(chosen);
    return chosen;
}

Result<policy::Policy> PolicyKeeper::reload(WallTime now) {
    auto loaded = load(now);
    if (loaded)
        mark(*loaded);
    return loaded;
}

bool PolicyKeeper::is_as_read() const {
    const auto sources = policy::read_sources(path_, true);
    return sources && digest_of(*sources) == digest_;
}

/// A mark that cannot be made costs elevated sessions their clocks, and nothing else.
void PolicyKeeper::mark(const policy::Policy& policy) const {
    if (!policy.elevated.empty())
        base::log_failure("marking that there are elevated sessions",
                          base::write_whole(elevated_mark_, {}, 0644));
    else
        remove(elevated_mark_);
    // Without any policy the rules of the last one are still those that somebody wanted.
    if (!usable_)
        return;
    mark_login_rules(policy);
    mark_observing();
}

/// By what the policy itself says: the kernel's word is there to be read as long as it counts. One
/// that stays where it should not lets in, while vigild is away, whom a rule asks.
void PolicyKeeper::mark_observing() const {
    for (const auto& folder : {state_, runtime_}) {
        const auto path = folder + "/" + wire::observing_mark;
        if (as_written_ == policy::Mode::observe)
            base::log_failure("marking that vigil only observes",
                              base::write_whole(path, {}, 0644));
        else if (remove(path))
            base::log_failure("taking " + path + " away", base::sync_folder(folder));
    }
}

/// One that cannot be made lets in past the auth phase, while vigild is away, whom a rule asks.
void PolicyKeeper::mark_login_rules(const policy::Policy& policy) const {
    const auto path = runtime_ + "/" + wire::login_mark;
    const auto rules = login_rules(policy);
    if (policy.mode == policy::Mode::enforce && std::ranges::any_of(rules, &wire::LoginRule::asks))
        base::log_failure("marking who has to bring a proof at login",
                          base::write_whole(path, wire::text_of(rules), 0600));
    else
        remove(path);
}

policy::Policy PolicyKeeper::choose(WallTime now) {
    if (auto fresh = load(now))
        return std::move(*fresh);
    base::log(base::Level::error, "the policy is broken: " + error_);
    const auto kept = base::read_small_file(last_good_, largest_kept);
    const auto sources =
        kept ? unpack(*kept) : Result<std::vector<policy::Source>>{std::unexpected{kept.error()}};
    auto old = sources ? policy::parse(*sources)
                       : Result<policy::Policy>{std::unexpected{sources.error()}};
    if (old)
        as_written_ = old->mode;
    if (observe_only_) {
        usable_ = true;
        if (!old)
            old = policy::Policy{};
        old->mode = policy::Mode::observe;
        return std::move(*old);
    }
    if (!old || sources->empty()) {
        base::log(base::Level::error, "there is no last good policy either: step-up is refused and "
                                      "no limit is watched until it is mended");
        return {};
    }
    base::log(base::Level::warning, "the last good policy stays in force");
    usable_ = true;
    return std::move(*old);
}

Result<policy::Policy> PolicyKeeper::load(WallTime now) {
    const auto sources = policy::read_sources(path_, true);
    auto parsed = sources ? policy::parse(*sources)
                          : Result<policy::Policy>{std::unexpected{sources.error()}};
    if (!parsed) {
        error_ = parsed.error().text();
        return parsed;
    }
    error_.clear();
    usable_ = true;
    loaded_ = now;
    as_written_ = parsed->mode;
    digest_ = digest_of(*sources);
    if (observe_only_)
        parsed->mode = policy::Mode::observe;
    if (const auto kept = base::write_whole(last_good_, pack(*sources), 0600); !kept)
        base::log(base::Level::warning,
                  "the good policy cannot be kept for later: " + kept.error().text());
    return parsed;
}

} // namespace vigil::shell
