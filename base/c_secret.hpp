#pragma once
#include "base/secret.hpp"

#include <cstdlib>
#include <cstring>
#include <memory>

namespace vigil::base {

struct WipeAndFree {
    void operator()(char* text) const noexcept {
        wipe(text, std::strlen(text));
        std::free(text);
    }
};

/// A string that somebody else's C code malloc'ed for us, and that may be a secret.
using CSecret = std::unique_ptr<char, WipeAndFree>;

} // namespace vigil::base
