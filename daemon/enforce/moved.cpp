#include "daemon/enforce/moved.hpp"

#include "base/cgroup.hpp"
#include "base/child.hpp"
#include "base/clock.hpp"
#include "daemon/enforce/connection.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <exception>

#include <sys/socket.h>

namespace vigil::enforce {

namespace {

using Moved = std::vector<core::ProcessBytes>;

/// As it is sent: an error, or 0 and so many of these.
struct Entry {
    std::uint64_t start_time;
    std::uint64_t bytes;
    pid_t pid;
    pid_t parent;
};

constexpr std::size_t max_question = sizeof(pid_t) + PATH_MAX;
constexpr std::size_t max_moved = sizeof(int) + max_moving * sizeof(Entry);

/// nullopt: it has ended.
Result<std::optional<core::ProcessBytes>> moved_by(pid_t pid) {
    const auto stat = base::read_process_stat(pid);
    const auto bytes = stat ? base::read_bytes_moved(pid) : std::unexpected{stat.error()};
    if (!bytes && bytes.error().code == ESRCH)
        return std::nullopt;
    if (!bytes)
        return std::unexpected{bytes.error()};
    return core::ProcessBytes{.process = {.pid = pid, .start_time = stat->start_time},
                              .parent = stat->parent,
                              .bytes = *bytes};
}

Result<Moved> moved_in(const std::string& scope, pid_t leader) {
    auto processes = base::processes_in(scope);
    if (!processes)
        return std::unexpected{processes.error()};
    // What they carry its connection has.
    if (is_sshd(leader))
        for (const pid_t carrier : carriers_of(*processes, leader))
            std::erase(*processes, carrier);
    if (processes->size() > max_moving)
        return fail(E2BIG, "too many processes in " + scope);
    Moved all;
    for (const pid_t pid : *processes) {
        const auto one = moved_by(pid);
        if (!one)
            return std::unexpected{one.error()};
        if (*one)
            all.push_back(**one);
    }
    std::ranges::sort(all, {}, [](const core::ProcessBytes& one) { return one.process.pid; });
    return all;
}

std::string packed(const Result<Moved>& moved) {
    const int code = moved ? 0 : moved.error().code;
    std::string bytes{reinterpret_cast<const char*>(&code), sizeof code};
    for (const auto& [process, parent, count] : moved.value_or(Moved{})) {
        const Entry entry{process.start_time, count, process.pid, parent};
        bytes.append(reinterpret_cast<const char*>(&entry), sizeof entry);
    }
    return bytes;
}

Result<Moved> unpacked(std::string_view bytes, const std::string& scope) {
    int code = EIO;
    if (bytes.size() >= sizeof code)
        std::memcpy(&code, bytes.data(), sizeof code);
    if (code != 0)
        return fail(code, "what the processes of " + scope + " moved");
    bytes.remove_prefix(sizeof code);
    Moved all;
    for (Entry entry{}; bytes.size() >= sizeof entry; bytes.remove_prefix(sizeof entry)) {
        std::memcpy(&entry, bytes.data(), sizeof entry);
        all.push_back({.process = {.pid = entry.pid, .start_time = entry.start_time},
                       .parent = entry.parent,
                       .bytes = entry.bytes});
    }
    return all;
}

/// In the child.
void answer_all(int socket) noexcept {
    try {
        std::string question(max_question, '\0');
        pid_t leader = 0;
        while (base::is_readable_within(socket, moved_helper_stays)) {
            const ssize_t got = ::recv(socket, question.data(), question.size(), 0);
            if (got <= static_cast<ssize_t>(sizeof leader))
                break;
            std::memcpy(&leader, question.data(), sizeof leader);
            const auto text = std::string_view{question}.substr(0, static_cast<std::size_t>(got));
            const auto answer = packed(moved_in(std::string{text.substr(sizeof leader)}, leader));
            if (::send(socket, answer.data(), answer.size(), MSG_NOSIGNAL) < 0)
                break;
        }
    } catch (const std::exception&) { // without memory: no answer is an error
    }
}

} // namespace

MovedReader::MovedReader() noexcept : helper_{"vigild-moved", answer_all} {}

Result<Moved> MovedReader::read(uid_t user, const std::string& scope, pid_t leader,
                                Microseconds kept) {
    if (hung_.refuses(user))
        return fail(ETIMEDOUT, "what this user's processes moved is still waited for");
    const BootTime begun = base::read_boot_time();
    const auto patience = budget_.left(begun) - kept;
    if (patience < moved_least)
        return fail(EBUSY, "what other processes moved has taken the time");
    auto moved = read_within(patience, user, scope, leader);
    budget_.spend(begun, base::read_boot_time());
    return moved;
}

Result<Moved> MovedReader::read_within(Microseconds patience, uid_t user, const std::string& scope,
                                       pid_t leader) {
    std::string question{reinterpret_cast<const char*>(&leader), sizeof leader};
    question += scope;
    std::string answer(max_moved, '\0');
    const BootTime end = base::read_boot_time() + patience;
    // Twice: it may end between a question and its look for one.
    for (int attempt = 0; attempt < 2; ++attempt) {
        if (const auto asked = helper_.ask(question); !asked)
            return std::unexpected{asked.error()};
        if (!helper_.answers_within(end - base::read_boot_time(), hung_, user))
            return fail(ETIMEDOUT, "what the processes of " + scope + " moved");
        const ssize_t got = ::recv(helper_.socket(), answer.data(), answer.size(), 0);
        if (got > 0)
            return unpacked(std::string_view{answer}.substr(0, static_cast<std::size_t>(got)),
                            scope);
        helper_.end();
    }
    return fail(EIO, "the helper ended");
}

} // namespace vigil::enforce
