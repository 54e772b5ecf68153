// rekey: a new key for what vigild has sealed. Each step leaves what opens the database in its
// place: the new key is written beside the old one, vigild seals under it, and then the old one
// goes.

#include "base/log.hpp"
#include "base/program.hpp"
#include "base/unique_fd.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "wire/errors.hpp"

#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

namespace vigil::cli {

namespace {

const std::string store = "/etc/credstore.encrypted";
const std::string maker = LIBEXEC "/vigil-key";
const std::string opener = "/usr/bin/systemd-creds";
const std::string first_key = "vigil.key";
const std::string second_key = "vigil.key.2";
/// A TPM takes its time.
constexpr Seconds sealing_patience{120};

/// One at a time; it ends with the descriptor.
Result<base::UniqueFd> lock_store() {
    base::UniqueFd folder{::open(store.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!folder)
        return fail(errno, "opening " + store);
    if (::flock(folder.get(), LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? fail("another rekey is under way")
                                    : fail(errno, "locking " + store);
    return folder;
}

/// What the credential gives, in a file without a name: it is that which vigild is to seal under,
/// and not what it was made of.
Result<base::UniqueFd> opened(const std::string& name) {
    base::UniqueFd key{::memfd_create("vigil.key", MFD_CLOEXEC)};
    if (!key)
        return fail(errno, "making a file for the key");
    if (const auto done =
            base::run_into({opener, "decrypt", "--name=" + name, store + "/" + name, "-"},
                           key.get(), sealing_patience);
        !done)
        return std::unexpected{done.error()};
    return key;
}

/// On disk, too: a key that comes back with a power cut is no harm, but it was said to be gone.
Result<> remove(const std::string& name, const base::UniqueFd& folder) {
    if (::unlinkat(folder.get(), name.c_str(), 0) < 0 && errno != ENOENT)
        return fail(errno, "removing " + store + "/" + name);
    return ::fsync(folder.get()) < 0 ? fail(errno, "writing " + store) : Result<>{};
}

int refuse(const std::string& what) {
    return complain({0, what});
}

} // namespace

int rekey(const Context& context, const std::string& with) {
    if (::geteuid() != 0)
        return refuse("a new key is root's to make");
    const Client client{context.socket};
    // Before it is asked which key is in use: another rekey would write over that.
    const auto folder = lock_store();
    if (!folder)
        return refuse("nothing is changed: " + folder.error().text());
    const auto old = client.factors_key();
    if (!old)
        return complain(old.error());
    if (*old != first_key && *old != second_key)
        return refuse("nothing is changed: vigild has a key that this vigilctl does not know");
    const auto& name = *old == first_key ? second_key : first_key;
    std::vector<std::string> words{maker, "make", name};
    if (!with.empty())
        words.push_back(with);
    if (const auto made = base::output_of(words, sealing_patience); !made)
        return refuse("nothing is changed: " + made.error().text());
    const auto key = opened(name);
    if (!key) {
        const auto gone = remove(name, *folder);
        return refuse("nothing is changed: " + (gone ? key.error() : gone.error()).text());
    }
    // Whoever has no answer, or one of a disk that failed, cannot know which key it is now.
    const auto done = client.rekey(key->get(), name);
    if (!done)
        return complain({done.error().code, done.error().what + "; both keys are kept, and vigild "
                                                                "takes the right one: try again"});
    if (const auto gone = remove(*old, *folder); !gone)
        return refuse(*done + ", but the old one is still there: " + gone.error().text());
    std::printf("%s, and %s is gone.\n", base::escape(*done).c_str(), old->c_str());
    return 0;
}

} // namespace vigil::cli
