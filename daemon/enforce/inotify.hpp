#pragma once
// An inotify descriptor (inotify(7)), and how its events are taken from it.

#include "base/error.hpp"
#include "base/unique_fd.hpp"

#include <array>
#include <cerrno>
#include <string>

#include <sys/inotify.h>
#include <unistd.h>

namespace vigil::enforce {

class Inotify {
public:
    Result<> open(base::UniqueFd kept) {
        fd_ = std::move(kept);
        if (fd_)
            return {};
        fd_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
        if (!fd_)
            return fail(errno, "opening inotify");
        return {};
    }

    Result<int> watch(const std::string& path, std::uint32_t mask) {
        const int number = ::inotify_add_watch(fd_.get(), path.c_str(), mask);
        if (number < 0)
            return fail(errno, "watching " + path);
        return number;
    }

    void forget(int number) noexcept { ::inotify_rm_watch(fd_.get(), number); }

    /// Calls `use(event, name)` for all that is there.
    template <typename Use>
    void read(Use use) {
        alignas(inotify_event) std::array<char, 16 * 1024> buffer;
        while (true) {
            const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
            if (got <= 0)
                return;
            for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(got);) {
                const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
                use(*event, std::string{event->len > 0 ? event->name : ""});
                at += sizeof(inotify_event) + event->len;
            }
        }
    }

    int fd() const noexcept { return fd_.get(); }

private:
    base::UniqueFd fd_;
};

} // namespace vigil::enforce
