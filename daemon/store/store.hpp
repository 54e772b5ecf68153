#pragma once
// vigild's memory across a kill -9: /run/vigil/state.db, in WAL on tmpfs. It dies with the boot, as
// what it holds does. One write a change.

#include "base/error.hpp"
#include "daemon/core/records.hpp"

#include <memory>
#include <optional>

namespace vigil::store {

class RuntimeStore {
public:
    /// Opens or creates; one of an older schema is brought forward, as a whole or not at all.
    /// EBADMSG: corrupt, or a schema newer than this program. The caller moves it aside with
    /// set_aside() and starts anew, loudly; adoption from logind then fills it.
    static Result<RuntimeStore> open(const std::string& path);

    /// Renames a broken database (and its WAL) to PATH.broken-N.
    static Result<std::string> set_aside(const std::string& path);

    RuntimeStore(RuntimeStore&&) noexcept;
    ~RuntimeStore();

    Result<> put(const core::SessionRecord& record);
    /// Also what hangs on it: its grants and saved terminals.
    Result<> erase_session(const core::SessionId& id);
    Result<std::vector<core::SessionRecord>> sessions();

    Result<> put(const core::GrantRecord& record);
    Result<> erase_grant(const core::SessionId& id);
    Result<std::vector<core::GrantRecord>> grants();

    Result<> put(const core::RememberedLogin& record);
    Result<> erase_remembered(const core::SessionId& id);
    Result<std::vector<core::RememberedLogin>> remembered();

    Result<> put(const core::BlockRecord& record);
    Result<> erase_block(std::uint32_t uid);
    Result<std::vector<core::BlockRecord>> blocks();

    Result<> put(const core::SavedTerminal& terminal);
    Result<> erase_terminal(const core::SessionId& session, const std::string& path);
    Result<> erase_terminals(const core::SessionId& session);
    Result<std::vector<core::SavedTerminal>> terminals(const core::SessionId& session);

    /// The last input and output that were seen, exactly: atime tells them in steps of 8 s only.
    struct Activity {
        BootTime input{};
        BootTime output{};
    };
    Result<> put_activity(const core::SessionId& session, const Activity& activity);
    Result<std::optional<Activity>> activity(const core::SessionId& session);

private:
    struct State;
    explicit RuntimeStore(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

} // namespace vigil::store
