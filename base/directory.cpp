#include "base/directory.hpp"

#include "base/unique_fd.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>

#include <fcntl.h>

namespace vigil::base {

Result<> for_numbers_in(const std::string& directory,
                        const std::function<bool(int folder, int number)>& use) {
    const UniqueFd folder{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!folder)
        return fail(errno, "opening " + directory);
    alignas(dirent64) std::array<char, 2048> buffer; // procfs makes an entry for each that fits
    while (true) {
        const ssize_t got = ::getdents64(folder.get(), buffer.data(), buffer.size());
        if (got < 0)
            return fail(errno, "reading " + directory);
        if (got == 0)
            return {};
        for (ssize_t at = 0; at < got;) {
            const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
            at += entry->d_reclen;
            const std::string_view name{entry->d_name};
            int number = 0;
            const auto [stop, error] =
                std::from_chars(name.data(), name.data() + name.size(), number);
            if (error == std::errc{} && stop == name.data() + name.size() &&
                !use(folder.get(), number))
                return {};
        }
    }
}

} // namespace vigil::base
