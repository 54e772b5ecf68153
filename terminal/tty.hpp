#pragma once
// The locked terminal, as the prompt uses it (tty_ioctl(4)). It is not this process's controlling
// terminal, so neither SIGWINCH nor SIGHUP come: size and hang-up are looked at.

#include "base/error.hpp"
#include "base/time.hpp"
#include "base/unique_fd.hpp"
#include "terminal/screen.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace vigil::terminal {

class Tty {
public:
    /// A character device below /dev that is a terminal; nothing else is opened for good.
    static Result<Tty> open(const std::string& path);

    int fd() const noexcept { return fd_.get(); }
    Size size() const noexcept;

    /// Whether echo, signals and line editing are off and output is as it is written, as vigild
    /// left it. true where it cannot be told.
    bool is_silent() const noexcept;

    /// Makes it so, and output not stopped, if something has changed that behind vigild's back.
    void silence() const noexcept;

    /// At most a second for a reader that has stalled; how many bytes were taken, the rest is lost.
    std::size_t write(std::string_view text) const noexcept;

    enum class Heard { input, room, silence, hung_up };
    enum class For : std::uint8_t {
        hang_up,
        keys,
        keys_or_room, ///< what is written is taken again, too
    };
    /// Waits, for the hang-up in any case; nullopt: for ever.
    Heard wait(std::optional<Microseconds> patience, For what = For::keys) const noexcept;

    /// "" if there was nothing to read after all; ENODEV-like errors are a hang-up: nullopt.
    std::optional<std::string_view> read(char* buffer, std::size_t size) const noexcept;

    /// Drops what was typed ahead.
    void flush() const noexcept;

private:
    explicit Tty(base::UniqueFd fd) noexcept : fd_{std::move(fd)} {}
    base::UniqueFd fd_;
};

} // namespace vigil::terminal
