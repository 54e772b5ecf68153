#include "policy/load.hpp"

#include "base/directory.hpp"
#include "base/unique_fd.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

namespace vigil::policy {

namespace {

constexpr std::size_t max_files = 256;

/// Opens without waiting for a FIFO's writer.
Result<base::UniqueFd> open_at(int directory, const std::string& name, int flags,
                               const std::string& shown) {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
    how.resolve = RESOLVE_NO_MAGICLINKS;
    base::UniqueFd fd{
        static_cast<int>(::syscall(SYS_openat2, directory, name.c_str(), &how, sizeof how))};
    // A sandbox may know no openat2; the flags that matter are openat's as well.
    if (!fd && (errno == ENOSYS || errno == EPERM))
        fd.reset(::openat(directory, name.c_str(), static_cast<int>(how.flags)));
    if (!fd && errno == ELOOP)
        return fail(shown + ": a symbolic link; put the file itself there");
    if (!fd)
        return fail(errno, shown);
    return fd;
}

/// What must hold of a file or directory that decides who gets in.
Result<> check_owner(const struct stat& status, const std::string& shown) {
    if (status.st_uid != 0)
        return fail(shown + ": owned by uid " + std::to_string(status.st_uid) +
                    "; chown it to root");
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return fail(shown + ": writable by others than its owner; chmod go-w it");
    return {};
}

Result<struct stat> status_of(int fd, const std::string& shown, bool must_be_ours) {
    struct stat status{};
    if (::fstat(fd, &status) < 0)
        return fail(errno, shown);
    if (must_be_ours) {
        if (auto checked = check_owner(status, shown); !checked)
            return std::unexpected{checked.error()};
    }
    return status;
}

Result<std::string> read_all(int fd, const std::string& shown) {
    // One byte more than allowed: a file may have grown since fstat(2).
    std::string text(max_file_bytes + 1, '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t got = ::read(fd, text.data() + size, text.size() - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(errno, shown);
        if (got == 0)
            break;
        size += static_cast<std::size_t>(got);
    }
    if (size > max_file_bytes)
        return fail(EFBIG, shown + ": over 256 KiB; split it over policy.d/*.yaml");
    text.resize(size);
    return text;
}

bool same_version(const struct stat& a, const struct stat& b) noexcept {
    return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
           a.st_mtim.tv_nsec == b.st_mtim.tv_nsec && a.st_ctim.tv_sec == b.st_ctim.tv_sec &&
           a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

Result<Source> read_source(int directory, const std::string& name, const std::string& shown,
                           bool must_be_ours) {
    auto fd = open_at(directory, name, O_NOFOLLOW, shown);
    if (!fd)
        return std::unexpected{fd.error()};
    const auto before = status_of(fd->get(), shown, must_be_ours);
    if (!before)
        return std::unexpected{before.error()};
    if (!S_ISREG(before->st_mode))
        return fail(shown + ": not a regular file; put a file there");
    auto text = read_all(fd->get(), shown);
    if (!text)
        return std::unexpected{text.error()};
    const auto after = status_of(fd->get(), shown, must_be_ours);
    if (!after)
        return std::unexpected{after.error()};
    // Half of one version and half of another is a policy that nobody wrote.
    if (!same_version(*before, *after) || text->size() != static_cast<std::size_t>(after->st_size))
        return fail(EAGAIN, shown + ": changed while it was read; reload when it is written");
    return Source{.name = shown, .text = *std::move(text)};
}

/// Names of the directory that end in .yaml and are not hidden (editors' files), by bytes.
Result<std::vector<std::string>> yaml_names(int fd, const std::string& shown) {
    base::UniqueFd copy{::fcntl(fd, F_DUPFD_CLOEXEC, 0)};
    if (!copy)
        return fail(errno, shown);
    const base::Directory directory{::fdopendir(copy.get())};
    if (!directory)
        return fail(errno, shown);
    static_cast<void>(copy.release());
    std::vector<std::string> names;
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(directory.get());
        if (entry == nullptr && errno != 0)
            return fail(errno, shown);
        if (entry == nullptr)
            break;
        const std::string name = entry->d_name;
        if (name.ends_with(".yaml") && !name.starts_with("."))
            names.push_back(name);
        if (names.size() > max_files)
            return fail(shown + ": more than " + std::to_string(max_files) +
                        " files; put several rules into one");
    }
    std::ranges::sort(names);
    return names;
}

} // namespace

Result<std::vector<Source>> read_sources(const std::string& path, bool must_be_ours) {
    const std::filesystem::path whole{path};
    const std::string folder = whole.has_parent_path() ? whole.parent_path().string() : ".";
    const auto parent =
        open_at(AT_FDCWD, folder, O_DIRECTORY | (must_be_ours ? O_NOFOLLOW : 0), folder);
    if (!parent)
        return std::unexpected{parent.error()};
    if (const auto checked = status_of(parent->get(), folder, must_be_ours); !checked)
        return std::unexpected{checked.error()};
    auto main_file = read_source(parent->get(), whole.filename(), path, must_be_ours);
    if (!main_file)
        return std::unexpected{main_file.error()};
    std::vector<Source> sources{*std::move(main_file)};
    if (whole.filename() != "policy.yaml")
        return sources;
    const std::string more = (whole.parent_path() / "policy.d").string();
    const auto directory = open_at(parent->get(), "policy.d", O_DIRECTORY | O_NOFOLLOW, more);
    if (!directory && directory.error().code == ENOENT)
        return sources;
    if (!directory)
        return std::unexpected{directory.error()};
    if (const auto checked = status_of(directory->get(), more, must_be_ours); !checked)
        return std::unexpected{checked.error()};
    const auto names = yaml_names(directory->get(), more);
    if (!names)
        return std::unexpected{names.error()};
    for (const std::string& name : *names) {
        auto source = read_source(directory->get(), name, more + "/" + name, must_be_ours);
        if (!source)
            return std::unexpected{source.error()};
        sources.push_back(*std::move(source));
    }
    return sources;
}

} // namespace vigil::policy
