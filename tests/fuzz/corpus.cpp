// Runs a fuzz target over files without libFuzzer: each as it is, cut short, and with bytes
// changed.

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size);

namespace {

void feed(const std::string& text) {
    LLVMFuzzerTestOneInput(reinterpret_cast<const unsigned char*>(text.data()), text.size());
}

void feed_variants(const std::string& text, std::mt19937& random) {
    feed(text);
    for (int i = 0; i < 200 && !text.empty(); ++i) {
        std::string changed = text;
        const std::size_t place = random() % text.size();
        switch (random() % 4) {
        case 0:
            changed.resize(place);
            break;
        case 1:
            changed[place] = static_cast<char>(random());
            break;
        case 2:
            changed.insert(place, text.substr(random() % text.size(), random() % 32));
            break;
        default:
            changed[place] = "&*!{}[]:,-#|>%@`\"'?\t\n~<"[random() % 23];
        }
        feed(changed);
    }
}

} // namespace

int main(int count, char** folders) {
    std::mt19937 random{1}; // the same each time: a failure comes again
    std::size_t files = 0;
    for (int i = 1; i < count; ++i) {
        for (const auto& entry : std::filesystem::recursive_directory_iterator{folders[i]}) {
            if (!entry.is_regular_file())
                continue;
            std::ifstream file{entry.path(), std::ios::binary};
            feed_variants({std::istreambuf_iterator<char>{file}, {}}, random);
            ++files;
        }
    }
    std::printf("%zu files\n", files);
    return files == 0 ? 1 : 0;
}
