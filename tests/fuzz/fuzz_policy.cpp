// Any bytes: parse() answers, and what it takes can be decided on. Three files of one policy are
// parted by a byte that no text has. Commands are made of the text's own words, so that patterns
// meet what they were written for.

#include "policy/decide.hpp"
#include "policy/parse.hpp"

#include <cstdlib>
#include <sstream>

using namespace vigil;
using namespace vigil::policy;

namespace {

constexpr std::size_t most_words = 8;
/// What YAML puts around a word of a list.
constexpr std::string_view starts_word = "\"'[,";
constexpr std::string_view ends_word = "\"'],";

bool asks(const Policy& policy, const Facts& facts, std::optional<Command> command,
          const Now& now) {
    const auto decision =
        decide_step_up(policy, facts, {.run_as = "root", .command = std::move(command)}, now);
    const bool proves = decision.verdict == StepUpDecision::Verdict::prove;
    if (decision.verdict != StepUpDecision::Verdict::not_applicable &&
        decision.rule >= policy.step_up.size())
        std::abort();
    if (proves == decision.require.empty())
        std::abort(); // a proof is one of something
    return proves;
}

/// What is less sure is never asked less.
void decide_commands(const Policy& policy, const Facts& facts, const Now& now,
                     const std::string& text) {
    std::istringstream words{text};
    Command command{.settled = true};
    const bool unknown_asks = asks(policy, facts, std::nullopt, now);
    for (std::string word; words >> word && command.arguments.size() < most_words;) {
        while (!word.empty() && starts_word.find(word.front()) != std::string_view::npos)
            word.erase(0, 1);
        while (!word.empty() && ends_word.find(word.back()) != std::string_view::npos)
            word.pop_back();
        if (word.starts_with('/')) {
            command.path = command.named = command.link = word;
            command.arguments.clear();
        } else {
            command.arguments.push_back(word);
        }
        for (const bool edits : {false, true}) {
            Command one = command;
            one.edits = edits;
            const bool sure_asks = asks(policy, facts, one, now);
            one.settled = false;
            const bool unsettled_asks = asks(policy, facts, one, now);
            one.cut = true;
            const bool cut_asks = asks(policy, facts, one, now);
            if ((sure_asks && !unsettled_asks) || (unsettled_asks && !cut_asks) ||
                (cut_asks && !unknown_asks))
                std::abort();
        }
    }
}

void decide_all(const Policy& policy, const std::string& text) {
    Facts facts{.user = "alice", .uid = 1000, .groups = {"sudo"}, .service = "sshd"};
    const RemoteHost remote = parse_remote_host(text.substr(0, 64));
    facts.remote = remote.address;
    facts.remote_unknown = remote.is_remote && !remote.address;
    const Now now{.boot = {}, .wall = WallTime{Seconds{1'736'000'000}}};
    const SessionDecision decision = decide_session(policy, facts, now);
    if (decision.access == Access::allow && !decision.message.empty())
        std::abort();
    if (decide_step_up(policy, facts, {.run_as = "root", .command = {}}, now).rule >
        policy.step_up.size())
        std::abort();
    decide_commands(policy, facts, now, text);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    std::string text{reinterpret_cast<const char*>(data), size};
    std::vector<Source> sources;
    for (std::size_t start = 0; sources.size() < 3;) {
        const std::size_t end = text.find('\xff', start);
        sources.push_back({"fuzz.yaml", text.substr(start, end - start)});
        if (end == std::string::npos)
            break;
        start = end + 1;
    }
    const auto policy = parse(sources);
    if (policy)
        decide_all(*policy, text);
    else if (!policy.error().what.starts_with("fuzz.yaml:"))
        std::abort(); // every refusal says where
    return 0;
}
