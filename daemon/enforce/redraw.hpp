#pragma once
// After a lock or a warning, programs that have the whole screen draw it again (signal(7),
// SIGWINCH).

#include "base/systemd.hpp"
#include "daemon/enforce/terminals.hpp"

namespace vigil::enforce {

/// SIGWINCH to the foreground group of each terminal, and no more. `scope` is the session's.
void redraw(const std::string& scope, const std::vector<Terminal>& terminals);

/// Programs made with ncurses and GNU screen look at the size when they are told of a change, and
/// draw nothing if it is the same; ssh, sudo and script pass on no other change to the terminal of
/// the program inside. Where no program is known to do better, the terminal is a row shorter for a
/// moment.
class Redraw {
public:
    /// `loop` outlives it. Throws std::runtime_error where it takes no timer.
    explicit Redraw(sd_event* loop);
    Redraw(const Redraw&) = delete;
    Redraw& operator=(const Redraw&) = delete;
    ~Redraw(); ///< what is short is not left so

    /// Of all programs in the foreground of the terminals.
    void ask(const std::string& scope, const std::vector<Terminal>& terminals);

    /// The same where a program draws the whole screen, over a line that was written there. Others
    /// hear nothing: at a shell's prompt the line is one of many, and a signal or another size is
    /// no news to anybody. A virtual console is a real screen, which loses its last row by being
    /// shorter, so there only those draw anew that do at any SIGWINCH.
    void ask_whole_screens(const std::string& scope, const std::vector<Terminal>& terminals);

private:
    struct Short {
        Terminal terminal;
        unsigned short rows = 0; ///< that it had
        unsigned short columns = 0;
        unsigned failures = 0; ///< to make it as long as it was
    };

    static std::vector<Terminal> signal_known(const std::string& scope,
                                              const std::vector<Terminal>& terminals);
    bool shorten(const Terminal& terminal);
    void lengthen();
    void lengthen_in(Microseconds time);
    static int on_timer(sd_event_source* source, std::uint64_t, void* userdata) noexcept;

    std::vector<Short> short_;
    base::EventSource timer_;
    sd_event* loop_;
};

} // namespace vigil::enforce
