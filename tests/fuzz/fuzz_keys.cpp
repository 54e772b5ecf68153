// libFuzzer: any bytes, in any pieces, stay within the bounds and leave the reader usable.

#include "terminal/keys.hpp"

#include <cstdlib>

using vigil::terminal::Keys;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    Keys keys;
    for (std::size_t at = 0; at < size;) {
        const std::size_t piece = 1 + data[at] % 16;
        const auto event = keys.feed(bytes.substr(at, piece));
        if (event == Keys::Event::submitted && keys.take().empty())
            std::abort();
        at += piece;
    }
    keys.settle();
    keys.feed("\x15");
    if (keys.feed("good\r") != Keys::Event::submitted || keys.take().view() != "good")
        std::abort();
    return 0;
}
