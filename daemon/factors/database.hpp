#pragma once
// The file of the factors: opened, made, and recognized as ours.

#include "base/sqlite.hpp"

#include <array>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace vigil::factors {

/// EBADMSG: broken, of a newer schema, or sealed under another key.
Result<base::Database> open_database(const std::string& path, std::string_view key);

/// Writes down what proves that a key is the database's.
Result<> prove_key(base::Database& database, std::string_view key);

/// SQLite keeps answering from a file that was deleted, swapped or cut under it. A code accepted
/// there would be forgotten at the next start and accepted again.
class FileWatch {
public:
    static Result<FileWatch> of(const std::string& path);

    /// ESTALE: the database or its log is no longer the file that was opened.
    Result<> check();
    /// The log is shorter, and that is no sign of another file.
    void was_cut() noexcept { files_[1].size = 0; }

private:
    struct File {
        std::string path;
        dev_t device = 0;
        ino_t inode = 0;
        off_t size = 0; ///< neither ever gets shorter while it is open
    };
    std::array<File, 2> files_; ///< the database, its write-ahead log
};

} // namespace vigil::factors
