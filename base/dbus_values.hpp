#pragma once
// The values of a D-Bus message as bytes (D-Bus Specification, Type System and Marshaling), in this
// machine's byte order, without libsystemd: for what is loaded into other programs. The types are
// those that vigil's messages and their headers have: y u t b s o g h, arrays, structs, dictionary
// entries and variants.

#include "base/unique_fd.hpp"
#include "base/values.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vigil::base {

inline constexpr std::size_t max_signature_bytes = 255; // the specification's
inline constexpr int max_value_depth = 16;              ///< containers in one another

/// Whether there are only whole types in it, of those above.
bool is_signature(std::string_view signature) noexcept;

class DbusWriter final : public ValueSink {
public:
    DbusWriter() = default;
    DbusWriter(const DbusWriter&) = delete;
    DbusWriter& operator=(const DbusWriter&) = delete;
    ~DbusWriter() override; ///< wipes what was written

    // As sd-bus's: ENXIO: not what belongs here; EINVAL: bad UTF-8; EMSGSIZE, EOPNOTSUPP. After an
    // error nothing of it is to be used.
    int basic(char type, const void* value) override;
    int array(char type, const void* data, std::size_t size) override;
    int open(char type, const char* contents) override;
    int close() override;
    int sensitive() override { return 0; } ///< all of it is

    /// Whether all that was opened is closed.
    bool is_whole() const noexcept { return open_.empty(); }
    std::string_view bytes() const noexcept { return bytes_; }
    const std::string& signature() const noexcept { return signature_; }
    /// Of the values `h`, in their order. They stay the caller's.
    const std::vector<int>& descriptors() const noexcept { return descriptors_; }

private:
    struct Container {
        char type;
        std::string contents;
        std::size_t next = 0;   ///< in `contents`; an array's is written again and again
        std::size_t length = 0; ///< where an array's stands
        std::size_t begin = 0;  ///< of an array's first value
    };

    int belongs(std::string_view type);
    void put(const void* data, std::size_t size);
    void align(std::size_t size);
    void put_number(std::uint32_t number);
    int put_text(const char* text);
    int put_signature(std::string_view text);

    std::string bytes_;
    std::string signature_;
    std::vector<int> descriptors_;
    std::vector<Container> open_;
};

/// Takes no byte for granted: every length is within what holds it, padding is zero, texts are
/// UTF-8 and end where they say.
class DbusReader final : public ValueSource {
public:
    /// All outlive the reader. `bytes` begin at a multiple of 8 of the message. `descriptors`: what
    /// the values `h` are of; they stay whose they are. None: there is no such value.
    DbusReader(std::string_view bytes, std::string_view signature,
               std::span<const UniqueFd> descriptors = {});

    // As sd-bus's: 0 at the end of an array, ENXIO: something else stands here, EBADMSG, EBUSY:
    // closed too early.
    int basic(char type, void* value) override;
    int array(char type, const void** data, std::size_t* size) override;
    int open(char type, const char* contents) override;
    int close() override;
    int at_end() override;
    int skip(const char* signature) override;
    int sensitive() override { return 0; } ///< whoever has the bytes wipes them

    /// What the variant that stands here holds; "" where none stands.
    std::string_view variant_type() const noexcept;
    /// How many bytes were read.
    std::size_t position() const noexcept { return at_; }

private:
    struct Container {
        char type;
        std::string_view contents;
        std::size_t next;
        std::size_t end;
    };

    int belongs(std::string_view type);
    bool get(void* data, std::size_t size);
    bool align(std::size_t size);
    bool get_text(std::size_t length, const char*& text);
    bool get_signature(std::string_view& signature);
    int skip_value(std::string_view type, int depth);
    int open_array(std::string_view type, std::string_view contents);
    std::size_t end() const noexcept { return open_.back().end; }

    std::string_view bytes_;
    std::span<const UniqueFd> descriptors_;
    std::size_t at_ = 0;
    std::vector<Container> open_; ///< the first is the message
};

} // namespace vigil::base
