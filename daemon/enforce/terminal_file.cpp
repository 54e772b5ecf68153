#include "daemon/enforce/terminal_file.hpp"

#include "base/cgroup.hpp"
#include "base/process.hpp"
#include "base/pty.hpp"
#include "daemon/enforce/descriptors.hpp"
#include "daemon/enforce/prompt.hpp"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace vigil::enforce {

namespace {

// Steps of a Budget. Programs have their terminal under the first numbers, so that no heap of
// another's files takes the time for it.
constexpr std::size_t max_lender_steps = 16384; ///< for one opening
constexpr std::size_t max_steps_of_a_lender = 64;
/// Whoever made the terminal his own can do so again in between.
constexpr int max_openings = 8;

Result<base::UniqueFd> open_node(const Terminal& terminal) {
    const std::string& path = terminal.path;
    base::UniqueFd fd{
        ::open(path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW)};
    if (!fd) // EIO and ENXIO: its other end is closed
        return fail(errno == EIO || errno == ENXIO ? ENOENT : errno, "opening " + path);
    struct stat node{};
    if (::fstat(fd.get(), &node) < 0)
        return fail(errno, "looking at " + path);
    if (!S_ISCHR(node.st_mode) || node.st_rdev != terminal.device)
        return fail(ENOENT, path + " is another device now");
    return fd;
}

bool is_busy(const Result<base::UniqueFd>& opened) noexcept {
    return !opened && opened.error().code == EBUSY;
}

/// One opening of a terminal that a program has to itself.
class Loan {
public:
    explicit Loan(const Terminal& terminal) : terminal_{terminal} {}

    void ask(const std::vector<pid_t>& processes) {
        for (const pid_t pid : processes) {
            if (opened_ || left_.left() == 0)
                return;
            const std::size_t share = std::min(left_.left(), max_steps_of_a_lender);
            Budget budget{share};
            static_cast<void>(open_terminal_of(pid, terminals_, budget, fetcher_,
                                               [this](pid_t thread, int number, const Terminal&) {
                                                   borrow(thread, number);
                                                   return opened_.has_value();
                                               }));
            left_.take(std::max<std::size_t>(share - budget.left(), 1));
        }
    }

    /// nullopt: nobody has lent one.
    std::optional<Result<base::UniqueFd>> take() {
        if (!opened_ && lent_)
            opened_.emplace(std::move(lent_));
        return std::move(opened_);
    }

private:
    void borrow(pid_t thread, int number) {
        auto lent = fetcher_.fetch(thread, number);
        // Its owner may have put another in its place since it was looked at.
        if (!lent || lent->device != terminal_.device)
            return;
        for (int i = 0; i < max_openings && ::ioctl(lent->fd.get(), TIOCNXCL) == 0; ++i) {
            auto opened = open_node(terminal_);
            if (is_busy(opened))
                continue;
            opened_.emplace(std::move(opened));
            return;
        }
        if (!lent_ && is_node(lent->fd.get()))
            lent_ = std::move(lent->fd);
    }

    /// Not a container's of the same number, nor opened as /dev/tty, whose owner and mode are
    /// another file's.
    bool is_node(int fd) const noexcept {
        struct stat one{};
        struct stat other{};
        return ::fstat(fd, &one) == 0 && ::stat(terminal_.path.c_str(), &other) == 0 &&
               one.st_dev == other.st_dev && one.st_ino == other.st_ino;
    }

    const Terminal& terminal_;
    const std::vector<Terminal> terminals_{terminal_};
    Budget left_{max_lender_steps};
    Fetcher fetcher_;
    std::optional<Result<base::UniqueFd>> opened_;
    base::UniqueFd lent_;
};

} // namespace

Result<base::UniqueFd> open_terminal(const std::string& path, std::uint64_t device,
                                     const std::string& scope) {
    if (!path.starts_with("/dev/") || (path + "/").find("/../") != path.npos)
        return fail(EINVAL, "no terminal's path: " + path);
    const Terminal terminal{.path = path, .device = device};
    auto opened = open_node(terminal);
    if (!is_busy(opened))
        return opened;
    Loan loan{terminal};
    // First the prompt: what it lends can be written to.
    loan.ask(prompt_processes_at(terminal));
    if (!scope.empty())
        loan.ask(base::processes_in(scope).value_or(std::vector<pid_t>{}));
    if (auto lent = loan.take())
        return std::move(*lent);
    return opened;
}

std::uint64_t culprit(const std::string& path, uid_t owner) {
    struct stat node{};
    if (owner == 0 && ::stat(path.c_str(), &node) == 0)
        owner = node.st_uid;
    constexpr std::uint64_t is_device = 1ULL << 63;
    return owner != 0 ? owner : is_device | node.st_rdev;
}

bool may_block(int fd) noexcept {
    return (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

bool has_pty_node(const Terminal& terminal) noexcept {
    const std::string_view folder{pty_directory};
    const std::string_view path{terminal.path};
    return path.starts_with(folder) && path.substr(folder.size()).starts_with('/');
}

Result<Terminal> pty_terminal(std::uint32_t index) {
    const std::string path = std::string{pty_directory} + "/" + std::to_string(index);
    struct stat info{};
    if (::stat(path.c_str(), &info) < 0)
        return fail(errno, "looking at " + path);
    if (!S_ISCHR(info.st_mode) || !base::pty_index(info.st_rdev))
        return fail(ENOTTY, path);
    return Terminal{.path = path, .device = info.st_rdev};
}

Result<Terminal> terminal_of(std::uint64_t device) {
    if (const auto index = base::pty_index(device))
        return pty_terminal(*index);
    const std::string numbers = std::to_string(major(device)) + ":" + std::to_string(minor(device));
    const auto text = base::read_small_file("/sys/dev/char/" + numbers + "/uevent");
    if (!text)
        return std::unexpected{text.error()};
    constexpr std::string_view label = "DEVNAME=";
    const std::size_t at = text->find(label);
    if (at == text->npos)
        return fail(ENODEV, "no name of device " + numbers);
    const std::size_t start = at + label.size();
    const std::string path = "/dev/" + text->substr(start, text->find('\n', start) - start);
    struct stat info{};
    if (::lstat(path.c_str(), &info) < 0)
        return fail(errno, "looking at " + path);
    if (!S_ISCHR(info.st_mode) || info.st_rdev != device)
        return fail(ENODEV, path + " is not device " + numbers);
    return Terminal{.path = path, .device = device};
}

} // namespace vigil::enforce
