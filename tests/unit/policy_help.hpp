#pragma once
// What the policy's tests share.

#include "policy/parse.hpp"
#include "tests/unit/test.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace vigil::test {

/// Monday, 6 January 2025, 00:00 UTC, plus days and minutes.
inline Now at(int day, int hour, int minute = 0, Seconds offset = Seconds{0}) {
    using namespace std::chrono;
    const sys_days monday = year{2025} / January / 6;
    return {.boot = {},
            .wall = WallTime{monday + days{day} + hours{hour} + minutes{minute}},
            .utc_offset = offset};
}

inline std::string slurp(const std::filesystem::path& path) {
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

inline Result<policy::Policy> parse_text(std::string text) {
    return policy::parse({{.name = "policy.yaml", .text = std::move(text)}});
}

/// The policy, which must be a good one.
inline policy::Policy parsed(std::string text) {
    auto result = parse_text(std::move(text));
    if (!result)
        ck_abort_msg("refused: %s", result.error().what.c_str());
    return *std::move(result);
}

/// What is said of a text that must be refused.
inline std::string refusal(std::string text) {
    const auto result = parse_text(std::move(text));
    if (result)
        ck_abort_msg("not refused");
    return result.error().text();
}

/// ck_assert_str_eq keeps pointers and would outlive a temporary string; this does not.
inline void check_text(const std::string& text, const std::string& expected) {
    ck_assert_str_eq(text.c_str(), expected.c_str());
}

inline void check_refusal(std::string text, const std::string& expected) {
    check_text(refusal(std::move(text)), expected);
}

/// The folder of test data, from the environment the build sets.
inline std::filesystem::path source_root() {
    const char* root = std::getenv("VIGIL_SOURCE_ROOT");
    if (root == nullptr)
        ck_abort_msg("VIGIL_SOURCE_ROOT is not set; run through meson test");
    return root;
}

inline std::vector<std::filesystem::path> yaml_files(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator{folder}) {
        if (entry.path().extension() == ".yaml")
            files.push_back(entry.path());
    }
    std::ranges::sort(files);
    return files;
}

} // namespace vigil::test
