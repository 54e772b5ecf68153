#pragma once
// A stand-in for vigild: a process of its own that speaks the real codec over a real socket, and
// can be what the real one must never be: silent, slow, lying, gone in mid-call.

#include <cstdint>
#include <string>

#include <sys/types.h>

namespace vigil::test {

enum class Mood {
    answers,
    silent,   ///< accepts the connection, and not a word
    mute,     ///< shakes hands and reads, and never replies
    refuses,  ///< replies with a D-Bus error
    mistypes, ///< replies with a string where something else belongs
    lies,     ///< replies with a verdict that is none
    floods,   ///< replies with a text beyond the bound
    babbles,  ///< sends bytes that are no D-Bus
    hangs_up, ///< closes in mid-call, `hang_ups` times, then answers
};

/// Shared with the process: what it is to answer, and what it was asked.
struct Fake {
    Mood mood;
    int hang_ups;
    std::uint32_t reserve_verdict;
    char reason[512];
    std::uint64_t max_seconds;
    std::uint32_t ask_verdict;
    char ask_text[512];
    char factors[2][16];
    char person[100]; ///< whose proof; "": who is logging in
    std::uint64_t ask_wait;
    char then[16];               ///< what is wanted behind the first right answer; "": nothing
    char code[16];               ///< the one that is right
    std::uint32_t wrong_verdict; ///< for the others
    std::uint64_t prove_wait;

    int connections;
    int reserved;
    int prepared;
    int confirmed;
    int released;
    int elevated;
    int asked;
    int proved;
    pid_t process; ///< behind the last pidfd
    std::uint32_t purpose;
    std::uint32_t uid;
    int groups;
    char user[300];
    char service[100];
    char terminal[100];
    char host[300];
    char run_as[300];
    char after[100]; ///< of a login: what it has shown before
    char path[300];  ///< of the command, where sudo's plugin asks
    char first_argument[300];
    int arguments;
    bool edits;
    bool settled;
    bool cut;
    char answers[8][600];
    std::uint8_t attempts[8][16];
};

class FakeVigild {
public:
    /// Starts answering everything with yes.
    FakeVigild();
    FakeVigild(const FakeVigild&) = delete;
    FakeVigild& operator=(const FakeVigild&) = delete;
    ~FakeVigild();

    Fake* operator->() noexcept { return fake_; }
    const std::string& directory() const noexcept { return directory_; }
    std::string socket() const { return directory_ + "/bus"; }

    /// As vigild does with a rule for what is elevated; so it is from the start.
    void mark_elevated();

    /// Ends the process; the socket's file stays, and connecting is refused.
    void stop();
    /// The same, without a file.
    void remove();

private:
    Fake* fake_;
    std::string directory_;
    int listener_;
    pid_t process_;
};

} // namespace vigil::test
