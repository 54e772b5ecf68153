#include "sudo_plugin/path_walk.hpp"

#include "base/unique_fd.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vigil::sudo {

namespace {

constexpr int most_links = 40;

/// What an access control list allows others shows in the group's bits, whichever group it is.
bool is_roots(const struct stat& node) noexcept {
    return node.st_uid == 0 && (node.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/// By the kernel, which goes through no link of proc(5) here: these have a text, and lead to
/// something else than it says.
base::UniqueFd open_by_kernel(int root, const std::string& path) noexcept {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return base::UniqueFd{
        static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how))};
}

class Walk {
public:
    explicit Walk(std::string root) : root_{std::move(root)} {}

    Result<Walked> to(const std::string& path) {
        rest_ = path;
        auto went = begin();
        while (went && !rest_.empty())
            went = step(next_name());
        if (!went)
            return std::unexpected{went.error()};
        if (const auto same = is_where_kernel_goes(path); !same)
            return std::unexpected{same.error()};
        std::string whole = root_ == "/" ? "" : root_;
        for (const auto& name : names_)
            whole += "/" + name;
        return Walked{.path = whole.empty() ? "/" : std::move(whole), .settled = settled_};
    }

private:
    Result<> begin() {
        names_.clear();
        folders_.clear();
        return enter(base::UniqueFd{::open(root_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)});
    }

    /// The names are what rules are about, and the kernel's is what runs.
    Result<> is_where_kernel_goes(const std::string& path) const {
        const auto node = open_by_kernel(folders_.front().get(), path);
        struct stat seen{};
        struct stat own{};
        if (!node || ::fstat(node.get(), &seen) < 0 || ::fstat(folders_.back().get(), &own) < 0)
            return fail(errno, "following " + path);
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

    Result<> enter(base::UniqueFd node) {
        struct stat found{};
        if (!node || ::fstat(node.get(), &found) < 0)
            return fail(errno, "looking at " + root_);
        settled_ = settled_ && is_roots(found);
        folders_.push_back(std::move(node));
        return {};
    }

    Result<> step(const std::string& name) {
        if (name.empty() || name == ".")
            return {};
        if (name == "..") {
            if (!names_.empty()) {
                names_.pop_back();
                folders_.pop_back();
            }
            return {};
        }
        base::UniqueFd node{
            ::openat(folders_.back().get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
        struct stat found{};
        if (!node || ::fstat(node.get(), &found) < 0)
            return fail(errno, "looking at " + name);
        if (S_ISLNK(found.st_mode))
            return follow(node.get(), found);
        settled_ = settled_ && is_roots(found);
        names_.push_back(name);
        folders_.push_back(std::move(node));
        return {};
    }

    /// A link has no permissions of its own, and is replaced by who can write to its folder.
    Result<> follow(int link, const struct stat& found) {
        settled_ = settled_ && found.st_uid == 0;
        char target[PATH_MAX];
        const ssize_t size = ::readlinkat(link, "", target, sizeof target);
        if (size < 0 || size == static_cast<ssize_t>(sizeof target) || ++links_ > most_links)
            return fail(size < 0 ? errno : ELOOP, "following a link");
        rest_ = std::string{target, static_cast<std::size_t>(size)} + "/" + rest_;
        return rest_.starts_with('/') ? begin() : Result<>{};
    }

    const std::string root_;
    std::string rest_; ///< of the path
    std::vector<std::string> names_;
    std::vector<base::UniqueFd> folders_; ///< the root, and one for each of the names
    int links_ = 0;
    bool settled_ = true;
};

} // namespace

Result<Walked> walk(const std::string& root, const std::string& path) {
    return Walk{root}.to(path);
}

} // namespace vigil::sudo
