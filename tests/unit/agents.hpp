#pragma once
// What the tests of the ssh agent's client share: the real ssh-agent with security keys of
// tests/sk, and agents that do as a test wants. They are nobody's, and it is root who asks, as
// nobody.

#include "base/process.hpp"
#include "base/program.hpp"
#include "base/ssh_format.hpp"
#include "base/unique_fd.hpp"
#include "tests/unit/folder.hpp"
#include "wire/agent.hpp"

#include <csignal>
#include <functional>

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vigil::test {

using namespace vigil::wire;

inline constexpr uid_t nobody = 65534;
inline constexpr gid_t nobodys_group = 65534;
inline constexpr Seconds long_enough{30}; ///< never used up by what does answer

inline std::string shell(const std::string& script) {
    const auto said = base::output_of({"/bin/sh", "-ec", script}, long_enough);
    CHECK_OK(said);
    return *said;
}

/// A folder of nobody's own.
inline std::string nobodys_folder() {
    auto path = new_folder();
    ck_assert_int_eq(::chown(path.c_str(), nobody, nobodys_group), 0);
    return path;
}

/// The real one, of nobody's, with a key of each kind.
class RealAgent {
public:
    RealAgent() {
        const std::string middleware = std::getenv("VIGIL_SECURITY_KEY");
        const auto said = shell(
            "exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -ec '"
            "PATH=/usr/bin:/bin; export SSH_SK_PROVIDER=" +
            middleware + "; cd " + folder +
            ";"
            "ssh-keygen -q -t ed25519-sk -N \"\" -C one -f one;"
            "ssh-keygen -q -t ecdsa-sk -N \"\" -C two -f two;"
            "ssh-keygen -q -t ed25519 -N \"\" -C plain -f plain;"
            "eval $(ssh-agent -P " +
            middleware + " -a " + folder +
            "/agent) >&2;"
            "ssh-add -q -S $SSH_SK_PROVIDER one two; ssh-add -q plain; echo pid=$SSH_AGENT_PID'");
        pid_ = std::stoi(said.substr(said.find("pid=") + 4));
        auto process = base::open_pidfd(pid_);
        CHECK_OK(process);
        process_ = std::move(*process);
    }
    RealAgent(const RealAgent&) = delete;
    RealAgent& operator=(const RealAgent&) = delete;
    ~RealAgent() {
        ::kill(pid_, SIGTERM);
        // It takes its socket away itself.
        pollfd end{.fd = process_.get(), .events = POLLIN, .revents = 0};
        (void)::poll(&end, 1, 10'000);
        std::filesystem::remove_all(folder);
    }

    std::string socket() const { return folder + "/agent"; }

    const std::string folder = nobodys_folder();

private:
    pid_t pid_ = 0;
    base::UniqueFd process_;
};

/// One that does with a connection what the test wants; it goes with the test.
class FalseAgent {
public:
    explicit FalseAgent(const std::function<void(int)>& serve, int backlog = 5) {
        sockaddr_un address{.sun_family = AF_UNIX};
        socket().copy(address.sun_path, sizeof address.sun_path - 1);
        listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        ck_assert_int_eq(
            ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        ck_assert_int_eq(::chown(socket().c_str(), nobody, nobodys_group), 0);
        ck_assert_int_eq(::listen(listener_.get(), backlog), 0);
        if (!serve)
            return;
        pid_ = ::fork();
        ck_assert_int_ge(pid_, 0);
        if (pid_ != 0)
            return;
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            serve(base::UniqueFd{::accept(listener_.get(), nullptr, nullptr)}.get());
    }
    FalseAgent(const FalseAgent&) = delete;
    FalseAgent& operator=(const FalseAgent&) = delete;
    ~FalseAgent() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
        std::filesystem::remove_all(folder);
    }

    std::string socket() const { return folder + "/agent"; }
    int listener() const { return listener_.get(); }

    const std::string folder = nobodys_folder();

private:
    base::UniqueFd listener_;
    pid_t pid_ = 0;
};

inline Agent asked(const std::string& socket) {
    return {socket, nobody, nobodys_group};
}

inline void say(int connection, std::string_view bytes) {
    (void)!::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

/// The whole question is taken before, as an agent does.
inline void hear(int connection) {
    char prefix[4];
    if (::recv(connection, prefix, sizeof prefix, MSG_WAITALL) != sizeof prefix)
        return;
    const auto size = base::SshReader{{prefix, sizeof prefix}}.number().value_or(0);
    std::string rest(size, '\0');
    (void)!::recv(connection, rest.data(), rest.size(), MSG_WAITALL);
}

inline std::string message_of(std::string_view content) {
    std::string message;
    base::append_ssh_string(message, content);
    return message;
}

inline std::string string_of(std::string_view bytes) {
    return message_of(bytes);
}

inline std::function<void(int)> answering(const std::string& bytes) {
    return [bytes](int connection) {
        hear(connection);
        say(connection, bytes);
    };
}

} // namespace vigil::test
