#include "daemon/enforce/means.hpp"

#include "base/cgroup.hpp"
#include "daemon/enforce/descriptors.hpp"

#include <cerrno>

#include <unistd.h>

namespace vigil::enforce {

namespace {

constexpr pid_t init = 1;

} // namespace

Result<> can_write_cgroups() {
    if (::access(base::cgroup_root(), W_OK) < 0)
        return fail(errno, base::cgroup_root());
    return {};
}

Result<> can_fetch_descriptors() {
    const auto copy = fetch_descriptor(init, STDIN_FILENO);
    // Whether it may is asked before whether there is such a descriptor.
    if (!copy && copy.error().code != EBADF)
        return std::unexpected{copy.error()};
    return {};
}

} // namespace vigil::enforce
