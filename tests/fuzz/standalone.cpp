// Runs a fuzz target without libFuzzer: files named on the command line, or the same pseudo-random
// inputs every time. Half of them from a small alphabet of bytes that parsers care about.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size);

namespace {

constexpr int rounds = 20'000;
using namespace std::string_view_literals;
constexpr auto alphabet =
    "\x1B[]OMP<0;2~\r\n\x7F\x15\x03\\\x07 \"'{}:,-#&*!|>%@xy\xC3\xA9\xC2\x9B\xFF\0"sv;

void run(const std::string& input) {
    LLVMFuzzerTestOneInput(reinterpret_cast<const unsigned char*>(input.data()), input.size());
}

std::string invent(std::mt19937& random, bool small) {
    std::string input(random() % 512, '\0');
    for (char& byte : input)
        byte = small ? alphabet[random() % alphabet.size()] : static_cast<char>(random());
    return input;
}

} // namespace

int main(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        std::ifstream file{argv[i], std::ios::binary};
        run({std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}});
    }
    std::mt19937 random{1};
    for (int i = 0; argc == 1 && i < rounds; ++i)
        run(invent(random, i % 2 == 0));
    return EXIT_SUCCESS;
}
