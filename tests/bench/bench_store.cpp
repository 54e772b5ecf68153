// What one write of the runtime state costs (asked: at most 20 us on tmpfs), at 1,000 sessions.
// Microseconds, the mean over all writes, checkpoints of the log included.

#include "daemon/store/store.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>

using namespace vigil;

namespace {

constexpr unsigned sessions = 1000;
constexpr unsigned rounds = 20;

core::SessionId id_of(unsigned number) {
    core::SessionId id;
    for (std::size_t i = 0; i < 4; ++i)
        id.bytes[i] = static_cast<std::uint8_t>((number * 2654435761U) >> (8 * i));
    return id;
}

core::SessionRecord session(unsigned number) {
    core::SessionRecord r;
    r.id = id_of(number);
    r.facts = {.user = "alice", .uid = 1000, .groups = {"alice", "sudo", "adm"}, .service = "sshd"};
    r.facts.remote.emplace();
    r.pam_terminal = "ssh";
    r.remote_host = "192.0.2.7";
    r.leader = {4242, 123456};
    r.logind_session = "c" + std::to_string(number);
    r.cgroup = "/user.slice/user-1000.slice/session-" + r.logind_session + ".scope";
    return r;
}

void measure(const char* name, const std::function<Result<>(unsigned)>& write) {
    const auto begin = std::chrono::steady_clock::now();
    for (unsigned i = 0; i < sessions * rounds; ++i)
        if (const auto done = write(i % sessions); !done) {
            std::fprintf(stderr, "%s: %s\n", name, done.error().text().c_str());
            std::exit(EXIT_FAILURE);
        }
    const std::chrono::duration<double, std::micro> spent =
        std::chrono::steady_clock::now() - begin;
    std::printf("%-24s %6.1f us\n", name, spent.count() / (sessions * rounds));
}

} // namespace

int main() {
    char folder[] = "/dev/shm/vigil-bench-XXXXXX";
    if (mkdtemp(folder) == nullptr)
        return EXIT_FAILURE;
    {
        auto store = store::RuntimeStore::open(std::string{folder} + "/state.db");
        if (!store)
            return EXIT_FAILURE;
        measure("put a session", [&](unsigned i) { return store->put(session(i)); });
        measure("put and erase a grant", [&](unsigned i) {
            core::GrantRecord grant;
            grant.id = id_of(i + sessions);
            grant.session = id_of(i);
            const auto done = store->put(grant);
            return done ? store->erase_grant(grant.id) : done;
        });
        measure("erase and put a session", [&](unsigned i) {
            const auto done = store->erase_session(id_of(i));
            return done ? store->put(session(i)) : done;
        });
    }
    std::filesystem::remove_all(folder);
}
