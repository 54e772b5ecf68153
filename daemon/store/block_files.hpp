#pragma once
// Blocks as files. A mark for each in /run/vigil/blocked is for the programs that cannot ask vigild
// (wire/block_mark.hpp); a copy in /var/lib/vigil/blocked outlives the boot, which state.db does
// not. A copy begins with its mark, so that systemd-tmpfiles can make marks of them before there is
// a vigild (systemd/vigil-tmpfiles.conf).

#include "base/error.hpp"
#include "daemon/core/records.hpp"

#include <set>
#include <string>
#include <vector>

namespace vigil::store {

class BlockFiles {
public:
    /// The folders vigild has there. `blocked` below each is made when it is needed.
    BlockFiles(const std::string& runtime, const std::string& state);

    /// Writes what is not there yet. The mark's text is the one that users are told.
    Result<> put_mark(const core::BlockRecord& record, Seconds utc_offset);
    Result<> erase_mark(std::uint32_t uid);
    /// A power cut behind these changes nothing. After an error it may; until then what was asked
    /// for is so, if it was not the write itself that failed.
    Result<> put_copy(const core::BlockRecord& record, Seconds utc_offset);
    Result<> erase_copy(std::uint32_t uid);

    /// Takes all other marks away, also what is no mark of vigild's, be it in place of the folder.
    Result<> keep_marks(const std::set<std::uint32_t>& uids);

    /// All copies, each with what is left of its time; one that cannot be read is a block without
    /// an end. `now`: for those of another boot, whose time goes by the wall clock.
    Result<std::vector<core::BlockRecord>> copies(const Now& now) const;

private:
    std::string marks_;
    std::string state_;
    std::string copies_;
    std::string boot_id_;
};

} // namespace vigil::store
