#include "daemon/factors/credential.hpp"

#include "base/openssl.hpp"
#include "base/unique_fd.hpp"

#include <cerrno>
#include <cstdlib>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vigil::factors {

Result<base::Secret> read_key(int fd) {
    std::string bytes(base::seal_key_bytes + 1, '\0'); // one more, to see that there is no more
    std::size_t size = 0;
    while (size < bytes.size()) {
        const ssize_t n =
            ::pread(fd, bytes.data() + size, bytes.size() - size, static_cast<off_t>(size));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            const int error = errno;
            base::wipe(bytes.data(), bytes.size());
            return fail(error, "reading a key");
        }
        if (n == 0)
            break;
        size += static_cast<std::size_t>(n);
    }
    bytes.resize(size); // never moves: it only gets shorter
    base::Secret key{std::move(bytes)};
    if (size != base::seal_key_bytes)
        return fail(EBADMSG, "a key has not 32 bytes");
    return key;
}

namespace {

Result<base::Secret> load(const std::string& path) {
    const base::UniqueFd fd{
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)};
    if (!fd)
        return fail(errno, "opening " + path);
    struct stat status;
    if (::fstat(fd.get(), &status) < 0)
        return fail(errno, "looking at " + path);
    if (!S_ISREG(status.st_mode))
        return fail(EBADMSG, path + " is no file");
    auto key = read_key(fd.get());
    return key ? std::move(key) : fail(key.error().code, path + ": " + key.error().what);
}

std::unexpected<Error> no_key() {
    return fail("there is no key that opens (vigil.key): journalctl -u vigil-key");
}

} // namespace

Result<std::vector<NamedKey>> load_keys() {
    const char* const directory = ::secure_getenv("CREDENTIALS_DIRECTORY");
    if (directory == nullptr || directory[0] != '/')
        return no_key();
    return load_keys_from(directory);
}

Result<std::vector<NamedKey>> load_keys_from(const std::string& directory) {
    std::vector<NamedKey> keys;
    std::optional<Error> error;
    for (const auto& name : key_names) {
        auto key = load(directory + "/" + name);
        if (key)
            keys.push_back({name, std::move(*key)});
        else if (!error && key.error().code != ENOENT)
            error = key.error();
    }
    if (keys.empty() && error)
        return std::unexpected{*error};
    if (keys.empty())
        return no_key();
    return keys;
}

} // namespace vigil::factors
