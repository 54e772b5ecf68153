#pragma once
// A sudo of the test's own: the real plugin, loaded as sudo loads it (sudo_plugin(5)), with a
// conversation that does as the test says.

#include "tests/pam/fake_vigild.hpp"

#include <functional>
#include <string>
#include <vector>

#include <sudo_plugin.h>
#include <sys/types.h>

namespace vigil::test {

/// What sudo tells its plugins of one run.
struct SudoRun {
    std::string user = "nobody";
    uid_t uid = 65534;
    std::string directory = "/";
    bool may_ask = true; ///< without -n
    std::vector<std::string> command_info{"command=/usr/bin/id", "runas_uid=0", "runas_gid=0"};
    std::vector<std::string> argv{"id", "-un"};
    std::vector<std::string> environment{"PATH=/usr/sbin:/usr/bin", "HOME=/root", "LANG=C.UTF-8"};
    std::vector<std::string> settings;
    std::vector<std::string> options; ///< of its line in sudo.conf, behind the socket
};

class SudoHost {
public:
    explicit SudoHost(const FakeVigild& vigild);
    SudoHost(const SudoHost&) = delete;
    SudoHost& operator=(const SudoHost&) = delete;
    ~SudoHost();

    /// open(), and where it is good check(): 1 is a yes, 0 a no, -1 a failure. sudo goes on after 1
    /// alone.
    int approve(const SudoRun& run = {});
    int open(const SudoRun& run, unsigned version = SUDO_API_VERSION);

    /// Whether one of the lines shown to the user has `text` in it.
    bool was_told(const std::string& text) const;

    std::vector<std::string> answers; ///< given in turn; then the conversation fails, as on Ctrl-C
    std::vector<std::string> prompts;
    std::vector<std::string> lines;
    std::function<void()> before_answer;

private:
    std::string socket_;
    void* library_;
    const approval_plugin* plugin_;
};

} // namespace vigil::test
