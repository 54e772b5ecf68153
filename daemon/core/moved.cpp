#include "daemon/core/moved.hpp"

#include <algorithm>
#include <map>

namespace vigil::core {

namespace {

using Processes = std::vector<ProcessBytes>;

const ProcessBytes* with_pid(const Processes& all, pid_t pid) {
    const auto found = std::ranges::lower_bound(
        all, pid, {}, [](const ProcessBytes& one) { return one.process.pid; });
    return found != all.end() && found->process.pid == pid ? &*found : nullptr;
}

const ProcessBytes* same(const Processes& all, const base::Process& process) {
    const auto* const found = with_pid(all, process.pid);
    return found && found->process == process ? found : nullptr;
}

/// The nearest ancestor that has not ended; nullptr: there is none in the session.
const ProcessBytes* heir_of(const ProcessBytes& ended, const Processes& before,
                            const Processes& now) {
    const auto* ancestor = with_pid(before, ended.parent);
    // No longer than there are processes: what is read one by one may look like a circle.
    for (std::size_t step = 0; ancestor && step < before.size(); ++step) {
        if (const auto* const alive = same(now, ancestor->process))
            return alive;
        ancestor = with_pid(before, ancestor->parent);
    }
    return nullptr;
}

} // namespace

std::uint64_t moved_between(const Processes& before, const Processes& now) {
    std::uint64_t all = 0;
    std::map<pid_t, std::uint64_t> left_to;
    for (const auto& one : before) {
        if (same(now, one.process))
            continue;
        if (const auto* const heir = heir_of(one, before, now))
            left_to[heir->process.pid] += one.bytes;
        else
            all += one.bytes;
    }
    for (const auto& one : now) {
        const auto* const known = same(before, one.process);
        const auto moved = known ? one.bytes - std::min(one.bytes, known->bytes) : one.bytes;
        const auto left = left_to.find(one.process.pid);
        if (left == left_to.end())
            all += moved;
        else
            all += moved >= left->second ? moved - left->second : moved + left->second;
    }
    return all;
}

} // namespace vigil::core
