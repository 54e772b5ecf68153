#include "base/program.hpp"

#include "base/child.hpp"
#include "base/clock.hpp"
#include "base/process.hpp"
#include "base/unique_fd.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vigil::base {

namespace {

/// Of what a program says of its failure.
constexpr std::size_t longest_reason = 200;
constexpr const char* late = "it takes too long";

/// posix_spawn(3)'s list of what is done to the child's descriptors.
class FileActions {
public:
    FileActions() { ::posix_spawn_file_actions_init(&actions_); }
    FileActions(const FileActions&) = delete;
    FileActions& operator=(const FileActions&) = delete;
    ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }

    posix_spawn_file_actions_t* get() noexcept { return &actions_; }

private:
    posix_spawn_file_actions_t actions_{};
};

Result<pid_t> start(std::vector<std::string>& words, int output, int errors) {
    std::vector<char*> pointers;
    for (auto& word : words)
        pointers.push_back(word.data());
    pointers.push_back(nullptr);
    FileActions actions;
    ::posix_spawn_file_actions_addopen(actions.get(), STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(actions.get(), output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(actions.get(), errors, STDERR_FILENO);
    // With none at all sudo 1.9.16p2-3+deb13u5 dies of SIGSEGV.
    std::string path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    std::array<char*, 2> environment{path.data(), nullptr};
    pid_t pid = 0;
    if (const int error = ::posix_spawn(&pid, pointers.front(), actions.get(), nullptr,
                                        pointers.data(), environment.data());
        error != 0)
        return fail(error, words.front());
    return pid;
}

bool is_readable_until(int fd, BootTime deadline) noexcept {
    return is_readable_within(fd, std::chrono::milliseconds{milliseconds_until(deadline)});
}

/// To its end, which comes when nobody has the other side any more.
Result<std::string> read_all(int from, BootTime deadline, std::size_t limit) {
    std::string text;
    std::array<char, 4096> buffer;
    while (is_readable_until(from, deadline)) {
        const ssize_t got = ::read(from, buffer.data(), buffer.size());
        if (got < 0)
            return fail(errno, "reading");
        if (got == 0)
            return text;
        text.append(buffer.data(), static_cast<std::size_t>(got));
        if (text.size() > limit)
            return fail("it says more than " + std::to_string(limit) + " bytes");
    }
    return fail(late);
}

std::string reason_of(int status, const std::string& text) {
    const auto line = text.substr(0, std::min(text.find('\n'), longest_reason));
    if (!line.empty())
        return line;
    return WIFSIGNALED(status) ? "killed by signal " + std::to_string(WTERMSIG(status))
                               : "exit status " + std::to_string(WEXITSTATUS(status));
}

/// What it says in its pipe; `output`: where its standard output goes, -1: into the pipe, too.
Result<std::string> heard_of(std::vector<std::string> words, int output, Microseconds patience,
                             std::size_t limit) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0)
        return fail(errno, "making a pipe");
    const UniqueFd from{ends[0]};
    UniqueFd to{ends[1]};
    const auto deadline = read_boot_time() + patience;
    const auto pid = start(words, output < 0 ? to.get() : output, to.get());
    if (!pid)
        return std::unexpected{pid.error()};
    to.reset();
    const auto child = open_pidfd(*pid);
    auto text = read_all(from.get(), deadline, limit);
    // It may have closed its output and run on.
    if (text && !(child && is_readable_until(child->get(), deadline)))
        text = fail(late);
    if (!text) {
        ::kill(*pid, SIGKILL); // it may hang in the kernel: PID 1 reaps it after us
        return fail(text.error().code, words.front() + ": " + text.error().what);
    }
    int status = 0;
    if (::waitpid(*pid, &status, 0) < 0 || status != 0)
        return fail(words.front() + ": " + reason_of(status, *text));
    return text;
}

} // namespace

Result<std::string> output_of(std::vector<std::string> words, Microseconds patience,
                              std::size_t limit) {
    return heard_of(std::move(words), -1, patience, limit);
}

Result<> run_into(std::vector<std::string> words, int output, Microseconds patience) {
    constexpr std::size_t most_said = 64 * 1024;
    if (const auto said = heard_of(std::move(words), output, patience, most_said); !said)
        return std::unexpected{said.error()};
    return {};
}

} // namespace vigil::base
