#include "sudo_plugin/path_walk.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <optional>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vigil::sudo {

namespace {

constexpr int most_links = 40;

/// What an access control list allows others shows in the group's bits, whichever group it is.
bool is_roots(const struct stat& node) noexcept {
    return node.st_uid == 0 && (node.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/// Renames anywhere on the host may keep the kernel from being sure of a `..` below another root
/// (openat2(2), EAGAIN), and anybody can make many.
constexpr int most_tries = 1000;

/// By the kernel, which goes through no link of proc(5) here: these have a text, and lead to
/// something else than it says. `root`: nullopt for the host's own, of which no `..` leads out.
base::UniqueFd open_by_kernel(std::optional<int> root, const std::string& path) noexcept {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_NO_MAGICLINKS | (root ? RESOLVE_IN_ROOT : 0U);
    int fd = -1;
    for (int tries = 0; tries < most_tries; ++tries) {
        fd = static_cast<int>(
            ::syscall(SYS_openat2, root.value_or(AT_FDCWD), path.c_str(), &how, sizeof how));
        if (fd >= 0 || errno != EAGAIN)
            break;
    }
    return base::UniqueFd{fd};
}

} // namespace

/// One of them.
class Walker::Walk {
public:
    explicit Walk(Walker& walker) noexcept : walker_{walker} {}

    Result<Walked> to(const std::string& path) {
        rest_ = path;
        auto went = begin();
        while (went && !rest_.empty())
            went = step(next_name());
        if (!went)
            return std::unexpected{went.error()};
        if (const auto same = is_where_kernel_goes(path); !same)
            return std::unexpected{same.error()};
        const std::string whole = (walker_.root_ == "/" ? "" : walker_.root_) + here().first;
        return Walked{.path = whole.empty() ? "/" : whole, .settled = settled_};
    }

private:
    using Known = std::pair<const std::string, Walker::Node>;

    const Known& here() const noexcept { return *trail_.back(); }

    Result<> begin() {
        trail_.clear();
        if (const auto root = walker_.known_.find(""); root != walker_.known_.end())
            return enter(*root);
        return enter(
            "", base::UniqueFd{::open(walker_.root_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)});
    }

    /// The names are what rules are about, and the kernel's is what runs.
    Result<> is_where_kernel_goes(const std::string& path) const {
        const bool is_hosts = walker_.root_ == "/";
        const auto node = open_by_kernel(
            is_hosts ? std::nullopt : std::optional{trail_.front()->second.fd.get()}, path);
        struct stat seen{};
        if (!node || ::fstat(node.get(), &seen) < 0)
            return fail(errno, "following " + path);
        const auto& own = here().second.found;
        return seen.st_dev == own.st_dev && seen.st_ino == own.st_ino
                   ? Result<>{}
                   : fail(ESTALE, "following " + path + " to where the kernel goes");
    }

    std::string next_name() {
        const std::size_t end = std::min(rest_.find('/'), rest_.size());
        std::string name = rest_.substr(0, end);
        rest_.erase(0, std::min(end + 1, rest_.size()));
        return name;
    }

    Result<> step(const std::string& name) {
        if (name.empty() || name == ".")
            return {};
        if (name == "..") {
            if (trail_.size() > 1)
                trail_.pop_back();
            return {};
        }
        const std::string path = here().first + "/" + name;
        if (const auto known = walker_.known_.find(path); known != walker_.known_.end())
            return enter(*known);
        return enter(path, base::UniqueFd{::openat(here().second.fd.get(), name.c_str(),
                                                   O_PATH | O_NOFOLLOW | O_CLOEXEC)});
    }

    Result<> enter(const std::string& path, base::UniqueFd fd) {
        Walker::Node node{.fd = std::move(fd)};
        if (!node.fd || ::fstat(node.fd.get(), &node.found) < 0)
            return fail(errno, "looking at " + path);
        return enter(*walker_.known_.emplace(path, std::move(node)).first);
    }

    Result<> enter(const Known& known) {
        if (S_ISLNK(known.second.found.st_mode))
            return follow(known.second);
        settled_ = settled_ && is_roots(known.second.found);
        trail_.push_back(&known);
        return {};
    }

    /// A link has no permissions of its own, and is replaced by who can write to its folder.
    Result<> follow(const Walker::Node& link) {
        settled_ = settled_ && link.found.st_uid == 0;
        char target[PATH_MAX];
        const ssize_t size = ::readlinkat(link.fd.get(), "", target, sizeof target);
        if (size < 0 || size == static_cast<ssize_t>(sizeof target) || ++links_ > most_links)
            return fail(size < 0 ? errno : ELOOP, "following a link");
        rest_ = std::string{target, static_cast<std::size_t>(size)} + "/" + rest_;
        return rest_.starts_with('/') ? begin() : Result<>{};
    }

    Walker& walker_;
    std::string rest_;                ///< of the path
    std::vector<const Known*> trail_; ///< the root, and one for each of the names
    int links_ = 0;
    bool settled_ = true;
};

Result<Walked> Walker::to(const std::string& path) {
    if (known_.size() > max_known_nodes)
        known_.clear();
    return Walk{*this}.to(path);
}

} // namespace vigil::sudo
