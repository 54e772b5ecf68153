#include "base/secret.hpp"

#include <string.h>

namespace vigil::base {

void wipe(void* memory, std::size_t size) noexcept {
    explicit_bzero(memory, size);
}

} // namespace vigil::base
