#pragma once
// After a lock, programs that have the whole screen draw it again (signal(7), SIGWINCH).

#include "base/systemd.hpp"
#include "daemon/enforce/terminals.hpp"

namespace vigil::enforce {

/// SIGWINCH to the foreground group of each terminal, and no more. `scope` is the session's.
void redraw(const std::string& scope, const std::vector<Terminal>& terminals);

/// GNU screen looks at the size when it is told of a change, and draws nothing if it is the same.
/// Its terminal is therefore a row shorter for a moment.
class Redraw {
public:
    /// `loop` outlives it. Throws std::runtime_error where it takes no timer.
    explicit Redraw(sd_event* loop);
    Redraw(const Redraw&) = delete;
    Redraw& operator=(const Redraw&) = delete;
    ~Redraw(); ///< what is short is not left so

    /// redraw(), and what screen needs.
    void ask(const std::string& scope, const std::vector<Terminal>& terminals);

private:
    struct Short {
        Terminal terminal;
        unsigned short rows = 0; ///< that it had
        unsigned short columns = 0;
    };

    void shorten(const Terminal& terminal);
    void lengthen();
    static int on_timer(sd_event_source* source, std::uint64_t, void* userdata) noexcept;

    std::vector<Short> short_;
    base::EventSource timer_;
    sd_event* loop_;
};

} // namespace vigil::enforce
