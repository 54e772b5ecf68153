#include "base/whole_file.hpp"

#include "base/unique_fd.hpp"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vigil::base {

Result<> write_whole(const std::string& path, std::string_view text, mode_t mode) {
    const auto temporary = path + ".new";
    const UniqueFd file{
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!file)
        return fail(errno, "writing " + temporary);
    while (!text.empty()) {
        const auto written = ::write(file.get(), text.data(), text.size());
        if (written < 0)
            return fail(errno, "writing " + temporary);
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::fchmod(file.get(), mode) < 0 || ::fsync(file.get()) < 0 ||
        ::rename(temporary.c_str(), path.c_str()) < 0)
        return fail(errno, "writing " + path);
    return {};
}

Result<> sync_folder(const std::string& folder) {
    const UniqueFd opened{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!opened || (::fsync(opened.get()) < 0 && errno != EINVAL))
        return fail(errno, "writing " + folder);
    return {};
}

} // namespace vigil::base
