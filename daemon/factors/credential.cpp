#include "daemon/factors/credential.hpp"

#include "base/openssl.hpp"
#include "base/unique_fd.hpp"

#include <cerrno>
#include <cstdlib>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vigil::factors {

Result<base::Secret> load_key() {
    const char* const directory = ::secure_getenv("CREDENTIALS_DIRECTORY");
    if (directory == nullptr || directory[0] != '/')
        return fail(ENOENT, "no credentials were handed over by systemd");
    return load_key_from(directory);
}

Result<base::Secret> load_key_from(const std::string& directory) {
    const std::string path = directory + "/vigil.key";
    const base::UniqueFd fd{
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)};
    if (!fd)
        return fail(errno, "opening " + path);
    struct stat status;
    if (::fstat(fd.get(), &status) < 0)
        return fail(errno, "looking at " + path);
    if (!S_ISREG(status.st_mode))
        return fail(EBADMSG, path + " is no file");
    std::string bytes(base::seal_key_bytes + 1, '\0'); // one more, to see that there is no more
    std::size_t size = 0;
    while (size < bytes.size()) {
        const ssize_t n = ::read(fd.get(), bytes.data() + size, bytes.size() - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            const int error = errno;
            base::wipe(bytes.data(), bytes.size());
            return fail(error, "reading " + path);
        }
        if (n == 0)
            break;
        size += static_cast<std::size_t>(n);
    }
    bytes.resize(size); // never moves: it only gets shorter
    base::Secret key{std::move(bytes)};
    if (size != base::seal_key_bytes)
        return fail(EBADMSG, path + " has not 32 bytes");
    return key;
}

} // namespace vigil::factors
