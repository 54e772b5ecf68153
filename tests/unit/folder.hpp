#pragma once
// Folders of a test's own.

#include "tests/unit/test.hpp"

#include <cstdlib>
#include <filesystem>
#include <string>

namespace vigil::test {

/// Whoever makes it removes it.
inline std::string new_folder() {
    std::string name = std::filesystem::temp_directory_path() / "vigil-test-XXXXXX";
    ck_assert_ptr_nonnull(::mkdtemp(name.data()));
    return name;
}

/// One that goes with it.
class Folder {
public:
    Folder() : path_{new_folder()} {}
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { std::filesystem::remove_all(path_); }

    std::filesystem::path operator/(const std::filesystem::path& name) const {
        return path_ / name;
    }

private:
    std::filesystem::path path_;
};

} // namespace vigil::test
