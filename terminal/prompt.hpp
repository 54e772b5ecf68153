#pragma once
// The lock prompt's course: ask vigild, draw, read an answer, ask PAM, tell vigild. It holds
// nothing: whatever happens to it, the session stays frozen until vigild thaws it (invariant 3).

#include "base/pam_stack.hpp"
#include "terminal/held_session.hpp"
#include "terminal/keys.hpp"
#include "terminal/screen.hpp"
#include "terminal/screen_answer.hpp"
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
        std::string held;          ///< the cgroup of what stands still; "": it is not known yet
        base::Process leader;      ///< of the session, if that one is known
        bool lock_console = false; ///< at a virtual console of its own, which is in front
    };

    Prompt(const Options& options, const Tty& tty);

    /// Returns when nothing is left to ask: unlocked, hung up, session gone.
    void run();

    const Keys& keys() const noexcept { return keys_; }

private:
    enum class Next { go_on, leave };

    void ask();
    void outlast_vigild();
    Next refresh();
    Next wait_for_vigild(Microseconds patience);
    Next read_answer();
    Next await_quiet();
    std::optional<Keys::Event> read();
    Next drop_input();
    Microseconds screen_due() const;
    Next await_stop();
    void meet_terminal();
    void warn_of_no_password();
    void tell_screen(wire::Screen screen);
    Next judge();
    Next report_yes(const std::string& factor);
    Next report_no(const std::string& why);
    Next count_down(std::uint64_t seconds, const std::string& why);
    View view(bool asking) const;
    void draw(bool asking);
    bool is_outdated() const;
    std::optional<Microseconds> patience() const;
    void after_silence();
    bool takes(std::string_view factor) const;
    void let_somebody_else_in();

    base::PamRequest pam_;
    const Tty& tty_;
    const bool lock_console_;
    Vigild vigild_;
    HeldSession held_;
    Keys keys_;
    wire::LockInfo info_;
    std::string message_;
    Size drawn_size_;
    std::string drawn_end_;
    bool drew_ = false;  ///< something: the terminal can no more be asked what it showed before
    bool drawn_ = false; ///< the last time, whole
    bool met_ = false;   ///< it is known whether it is plain
    bool plain_ = false;
    std::vector<std::string> shown_; ///< on a plain terminal: the lines of the last drawing
    ScreenAnswer screen_;
    std::optional<BootTime> asked_screen_;
    std::optional<BootTime> look_at_; ///< whether the terminal still is as it was
    Microseconds look_pause_{};
    bool kept_from_it_ = false; ///< at the last read(): there was something that cannot be had
    std::optional<wire::Screen> untold_screen_; ///< for vigild, which was away
};

} // namespace vigil::terminal
