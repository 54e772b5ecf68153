#pragma once
// Expected failures travel as values. A library returns an Error; a program decides to log it.

#include <cstring>
#include <expected>
#include <string>
#include <utility>

namespace vigil {

/// What went wrong, where, as one line for a person. `code` is a positive errno, 0 if there is
/// none.
struct Error {
    int code = 0;
    std::string what;

    /// "what: strerror(code)", or `what` alone.
    std::string text() const { return code == 0 ? what : what + ": " + strerrordesc(code); }

private:
    static std::string strerrordesc(int number) {
        char buffer[128];
        return strerror_r(number, buffer, sizeof buffer);
    }
};

template <typename T = void>
using Result = std::expected<T, Error>;

/// `return fail(errno, "opening " + path);`. Negative codes (sd-bus's) are taken as they come.
inline std::unexpected<Error> fail(int code, std::string what) {
    return std::unexpected{Error{code < 0 ? -code : code, std::move(what)}};
}

inline std::unexpected<Error> fail(std::string what) {
    return std::unexpected{Error{0, std::move(what)}};
}

} // namespace vigil
