#include "daemon/enforce/means.hpp"

#include "base/cgroup.hpp"
#include "base/process.hpp"

#include <cerrno>

#include <sys/syscall.h>
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
    const auto pidfd = base::open_pidfd(init);
    if (!pidfd)
        return std::unexpected{pidfd.error()};
    const base::UniqueFd copy{
        static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd->get(), STDIN_FILENO, 0U))};
    // Whether it may is asked before whether there is such a descriptor.
    if (!copy && errno != EBADF)
        return fail(errno, "fetching a descriptor of process 1");
    return {};
}

} // namespace vigil::enforce
