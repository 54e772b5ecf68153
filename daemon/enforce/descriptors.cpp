#include "daemon/enforce/descriptors.hpp"

#include "base/directory.hpp"
#include "base/process.hpp"
#include "daemon/enforce/terminal_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace vigil::enforce {

namespace {

// Documentation/admin-guide/devices.txt
const dev_t current_terminal = makedev(5, 0); ///< /dev/tty
const dev_t system_console = makedev(5, 1);   ///< /dev/console
const dev_t current_console = makedev(4, 0);  ///< /dev/tty0

/// What opening a process's folders costs, in steps.
constexpr std::size_t process_steps = 4;
/// A descriptor whose node does not tell its device has to be fetched.
constexpr std::size_t fetch_steps = 8;
/// Links of /proc/PID/task beside those of the threads.
constexpr nlink_t folder_links = 2;

/// The device behind a descriptor opened as /dev/tty and the like. nullopt: it can't be told.
std::optional<dev_t> fetched_device(Fetcher& fetcher, pid_t thread, int number) {
    const auto copy = fetcher.fetch(thread, number);
    if (copy)
        return copy->device;
    return copy.error().code == EBADF || copy.error().code == ESRCH ? std::optional<dev_t>{0}
                                                                    : std::nullopt;
}

/// A container numbers its terminals as we do; they are in another file system. A console is the
/// same under every node.
bool is_same_node(const Terminal& terminal, const struct statx& node) noexcept {
    struct stat own{};
    if (!has_pty_node(terminal))
        return true;
    return ::stat(terminal.path.c_str(), &own) == 0 &&
           own.st_dev == makedev(node.stx_dev_major, node.stx_dev_minor);
}

/// One look through the tables of a process.
class Look {
public:
    Look(pid_t pid, const std::vector<Terminal>& terminals, Budget& budget, Fetcher& fetcher,
         const Accept& accept)
        : pid_{pid}, terminals_{terminals}, budget_{budget}, fetcher_{fetcher}, accept_{accept} {}

    OpenTerminal run() {
        if (!budget_.take(process_steps))
            return {.complete = false};
        table(base::proc_path(pid_, "fd"), pid_);
        if (goes_on())
            threads(base::proc_path(pid_, "task"));
        return found_;
    }

private:
    bool goes_on() const noexcept { return found_.terminal == nullptr && budget_.left() > 0; }

    void table(const std::string& folder, pid_t thread) {
        const auto looked = base::for_numbers_in(folder, [&](int opened, int number) {
            if (!budget_.take(1))
                found_.complete = false;
            else
                descriptor(opened, number, thread);
            return goes_on();
        });
        // Gone is looked through. Anything else is not.
        if (!looked && looked.error().code != ENOENT && looked.error().code != ESRCH)
            found_.complete = false;
        if (budget_.left() == 0)
            found_.complete = false;
    }

    void descriptor(int folder, int number, pid_t thread) {
        std::array<char, 16> name{};
        std::to_chars(name.data(), name.data() + name.size() - 1, number);
        // statx without asking the file system: its server may be the user's own, and never answer.
        struct statx info{};
        if (::statx(folder, name.data(), AT_STATX_DONT_SYNC, STATX_TYPE, &info) < 0 ||
            !S_ISCHR(info.stx_mode))
            return;
        const dev_t own = makedev(info.stx_rdev_major, info.stx_rdev_minor);
        std::optional<dev_t> device = own;
        if (*device == current_terminal || *device == system_console || *device == current_console)
            device =
                budget_.take(fetch_steps) ? fetched_device(fetcher_, thread, number) : std::nullopt;
        if (!device) {
            found_.complete = false;
            return;
        }
        const auto terminal = std::ranges::find(terminals_, *device, &Terminal::device);
        if (terminal != terminals_.end() && (*device != own || is_same_node(*terminal, info)) &&
            (!accept_ || accept_(thread, number, *terminal)))
            found_.terminal = &*terminal;
    }

    /// A thread may have a table of its own: unshare(2), CLONE_FILES.
    void threads(const std::string& folder) {
        struct stat info{};
        if (::stat(folder.c_str(), &info) < 0 || info.st_nlink <= folder_links + 1)
            return;
        std::vector<pid_t> looked{pid_};
        const auto done = base::for_numbers_in(folder, [&](int, int thread) {
            if (thread == pid_)
                return true;
            if (!budget_.take(1 + looked.size()))
                found_.complete = false;
            else if (std::ranges::none_of(looked, [&](pid_t other) {
                         return ::syscall(SYS_kcmp, other, thread, KCMP_FILES, 0, 0) == 0;
                     })) {
                looked.push_back(thread);
                table(folder + "/" + std::to_string(thread) + "/fd", thread);
            }
            return goes_on();
        });
        if (!done && done.error().code != ENOENT && done.error().code != ESRCH)
            found_.complete = false;
    }

    const pid_t pid_;
    const std::vector<Terminal>& terminals_;
    Budget& budget_;
    Fetcher& fetcher_;
    const Accept& accept_;
    OpenTerminal found_;
};

} // namespace

OpenTerminal open_terminal_of(pid_t pid, const std::vector<Terminal>& terminals, Budget& budget,
                              Fetcher& fetcher, const Accept& accept) {
    return Look{pid, terminals, budget, fetcher, accept}.run();
}

Result<base::UniqueFd> fetch_descriptor(pid_t thread, int number) {
    const auto pidfd = base::open_pidfd(thread);
    if (!pidfd)
        return std::unexpected{pidfd.error()};
    base::UniqueFd copy{static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd->get(), number, 0U))};
    if (!copy)
        return fail(errno, "fetching a descriptor of process " + std::to_string(thread));
    return copy;
}

} // namespace vigil::enforce
