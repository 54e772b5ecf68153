#pragma once
#include <cstdlib>
#include <memory>

namespace vigil::base {

struct FreeDeleter {
    void operator()(void* memory) const noexcept { std::free(memory); }
};

/// A string, and a list of them, that a C library made with malloc(3).
using CString = std::unique_ptr<char, FreeDeleter>;
using CStringList = std::unique_ptr<char*, FreeDeleter>;

} // namespace vigil::base
