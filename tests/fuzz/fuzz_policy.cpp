// Any bytes: parse() answers, and what it takes can be decided on. Three files of one policy are
// parted by a byte that no text has.

#include "policy/decide.hpp"
#include "policy/parse.hpp"

#include <cstdlib>

using namespace vigil;
using namespace vigil::policy;

namespace {

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
