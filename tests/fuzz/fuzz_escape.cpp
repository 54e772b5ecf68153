// Whatever goes in, printable UTF-8 within the limit comes out, and glibc's decoder agrees.

#include "base/log.hpp"

#include <clocale>
#include <cstdint>
#include <cstdlib>
#include <cwchar>
#include <cwctype>

using vigil::base::escape;

namespace {

bool is_printable(const std::string& text) {
    std::mbstate_t state{};
    for (std::size_t at = 0; at < text.size();) {
        wchar_t character = 0;
        const std::size_t length =
            std::mbrtowc(&character, text.data() + at, text.size() - at, &state);
        // 0 is NUL; the two largest values are bytes that are no UTF-8, and a cut sequence.
        if (length == 0 || length > text.size() - at ||
            std::iswcntrl(static_cast<std::wint_t>(character)) != 0)
            return false;
        at += length;
    }
    return true;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    static const char* const locale = std::setlocale(LC_CTYPE, "C.UTF-8");
    if (locale == nullptr)
        std::abort();
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    const std::string whole = escape(text, SIZE_MAX);
    // What is escaped once stays as it is: two sinks in a row are one.
    if (!is_printable(whole) || escape(whole, SIZE_MAX) != whole)
        std::abort();
    const std::size_t limit = size == 0 ? 0 : data[0];
    const std::string cut = escape(text, limit);
    if (cut.size() > limit || !whole.starts_with(cut) || !is_printable(cut))
        std::abort();
    return 0;
}
