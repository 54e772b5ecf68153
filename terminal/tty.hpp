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

    /// Echo, signals and line editing off, if something turned them on again behind vigild's back.
    void silence() const noexcept;

    /// At most a second for a reader that has stalled; the rest is lost and drawn next time.
    void write(std::string_view text) const noexcept;

    enum class Heard { input, silence, hung_up };
    /// Waits for input; nullopt: for ever. Input is not waited for with `keys` false, only the
    /// hang-up.
    Heard wait(std::optional<Microseconds> patience, bool keys = true) const noexcept;

    /// "" if there was nothing to read after all; ENODEV-like errors are a hang-up: nullopt.
    std::optional<std::string_view> read(char* buffer, std::size_t size) const noexcept;

    /// Drops what was typed ahead.
    void flush() const noexcept;

private:
    explicit Tty(base::UniqueFd fd) noexcept : fd_{std::move(fd)} {}
    base::UniqueFd fd_;
};

} // namespace vigil::terminal
