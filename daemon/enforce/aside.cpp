#include "daemon/enforce/aside.hpp"

#include "base/child.hpp"
#include "base/process.hpp"
#include "base/unique_fd.hpp"
#include "daemon/enforce/hung_children.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace vigil::enforce {

namespace {

/// Less than a pipe takes at once, so that a child that has done its work never waits.
constexpr std::size_t max_answer = 4096;

HungChildren& still_hung() {
    static HungChildren all{max_hung_asides, aside_rest};
    return all;
}

bool aside_now = false;

/// The code, 0 for none and -1 for success; then the text.
std::string to_bytes(const Result<std::string>& result) {
    const int code = result ? -1 : result.error().code;
    std::string bytes{reinterpret_cast<const char*>(&code), sizeof code};
    return bytes + (result ? *result : result.error().what);
}

Result<std::string> from_bytes(const std::string& bytes) {
    int code = 0;
    if (bytes.size() < sizeof code)
        return fail(EIO, "a helper's answer");
    std::memcpy(&code, bytes.data(), sizeof code);
    auto text = bytes.substr(sizeof code);
    if (code == -1)
        return text;
    return std::unexpected{Error{code, std::move(text)}};
}

[[noreturn]] void be_child(pid_t parent, int to,
                           const std::function<Result<std::string>()>& work) noexcept {
    const int own = base::begin_child(parent, to, "vigild-aside");
    aside_now = true;
    try {
        auto bytes = to_bytes(work());
        if (bytes.size() > max_answer)
            bytes = to_bytes(fail(EMSGSIZE, "a helper's answer"));
        ::_exit(::write(own, bytes.data(), bytes.size()) > 0 ? 0 : 1);
    } catch (const std::exception&) { // without memory: no answer is an error
        ::_exit(1);
    }
}

std::string answer_of(int from) {
    std::array<char, max_answer> buffer;
    const ssize_t got = ::read(from, buffer.data(), buffer.size());
    return {buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
}

} // namespace

bool is_aside() noexcept {
    return aside_now;
}

Result<std::string> aside(std::uint64_t user, const std::string& what,
                          const std::function<Result<std::string>()>& work) {
    if (aside_now)
        return work();
    if (still_hung().refuses(user))
        return fail(ETIMEDOUT, what);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0)
        return fail(errno, "making a pipe");
    const base::UniqueFd from{ends[0]};
    base::UniqueFd to{ends[1]};
    const pid_t self = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0)
        return fail(errno, "starting a helper");
    if (pid == 0)
        be_child(self, to.get(), work);
    to.reset();
    auto child = base::open_pidfd(pid);
    if (base::is_readable_within(from.get(), aside_patience))
        return from_bytes(answer_of(from.get()));
    if (child)
        still_hung().give_up(std::move(*child), user);
    else // its number is its own for as long as it hangs
        ::kill(pid, SIGKILL);
    return fail(ETIMEDOUT, what);
}

Result<> do_aside(std::uint64_t user, const std::string& what,
                  const std::function<Result<>()>& work) {
    const auto done = aside(user, what, [&]() -> Result<std::string> {
        const auto worked = work();
        return worked ? Result<std::string>{""} : std::unexpected{worked.error()};
    });
    return done ? Result<>{} : std::unexpected{done.error()};
}

} // namespace vigil::enforce
