#pragma once
// The lock prompt's course: ask vigild, draw, read an answer, ask PAM, tell vigild. It holds
// nothing: whatever happens to it, the session stays frozen until vigild thaws it (invariant 3).

#include "terminal/keys.hpp"
#include "terminal/pam_unlock.hpp"
#include "terminal/screen.hpp"
#include "terminal/tty.hpp"
#include "terminal/vigild.hpp"

namespace vigil::terminal {

class Prompt {
public:
    struct Options {
        std::string session;
        std::string terminal;
        std::string socket;
        std::string pam_directory; ///< "": the system's
        bool lock_console = false; ///< at a virtual console of its own, which is in front
    };

    Prompt(const Options& options, const Tty& tty);

    /// Returns when nothing is left to ask: unlocked, hung up, session gone.
    void run();

    const Keys& keys() const noexcept { return keys_; }

private:
    enum class Next { go_on, leave };

    Next refresh();
    Next wait_for_vigild(Microseconds patience);
    Next read_answer();
    Next judge();
    Next report_yes(const std::string& factor);
    Next report_no(const std::string& why);
    Next count_down(std::uint64_t seconds, const std::string& why);
    void draw(bool asking);
    bool takes(std::string_view answer) const;
    void let_somebody_else_in();

    PamRequest pam_;
    const Tty& tty_;
    const bool lock_console_;
    Vigild vigild_;
    Keys keys_;
    wire::LockInfo info_;
    std::string message_;
    Size drawn_size_;
};

} // namespace vigil::terminal
