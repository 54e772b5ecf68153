// libFuzzer: any bytes, in any pieces, stay within the bounds, type no control and leave the reader
// usable.

#include "terminal/keys.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>

using vigil::terminal::Keys;

namespace {

bool is_answer(std::string_view text) {
    return !text.empty() && std::ranges::none_of(text, [](unsigned char byte) {
        return byte < 0x20 || byte == 0x7F;
    });
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    Keys keys;
    for (std::size_t at = 0; at < size;) {
        const std::size_t piece = 1 + data[at] % 16;
        const auto event = keys.feed(bytes.substr(at, piece));
        if (event == Keys::Event::submitted && !is_answer(keys.take().view()))
            std::abort();
        at += piece;
    }
    keys.settle();
    keys.feed("\x15");
    if (keys.feed("good\r") != Keys::Event::submitted || keys.take().view() != "good")
        std::abort();
    return 0;
}
