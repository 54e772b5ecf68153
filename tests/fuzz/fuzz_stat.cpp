// Any line is refused or taken apart; and whatever a process calls itself, the fields behind its
// name are the kernel's (sudo CVE-2017-1000367).

#include "base/process.hpp"

#include <cstdlib>

using vigil::base::parse_process_stat;

namespace {

constexpr std::string_view tail =
    " S 10 20 30 34817 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654321 0 0\n";

void take_apart(std::string_view line) {
    const auto stat = parse_process_stat(line);
    if (!stat)
        return;
    const std::size_t open = line.find(" (");
    if (line.substr(open + 2, line.rfind(')') - open - 2) != stat->command)
        std::abort();
}

void name_oneself(std::string_view name) {
    std::string line = "42 (";
    line.append(name).append(")").append(tail);
    const auto stat = parse_process_stat(line);
    if (!stat || stat->pid != 42 || stat->command != name || stat->state != 'S' ||
        stat->parent != 10 || stat->group != 20 || stat->session != 30 || stat->terminal != 34817 ||
        stat->foreground != -1 || stat->start_time != 987654321)
        std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    take_apart(text);
    name_oneself(text);
    return 0;
}
