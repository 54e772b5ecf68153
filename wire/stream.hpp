#pragma once
// What codec.cpp and records.cpp are written with: a writer and a reader of D-Bus values that
// remember their first error and do nothing after it. Internal to wire/.

#include "base/error.hpp"
#include "base/values.hpp"
#include "wire/names.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace vigil::wire {

class Writer {
public:
    explicit Writer(base::ValueSink& sink) noexcept : sink_{sink} {}

    void number(std::uint32_t value) { basic('u', &value); }
    void number(std::uint64_t value) { basic('t', &value); }
    void boolean(bool value);
    void descriptor(int fd) { basic('h', &fd); }
    void text(const char* field, const std::string& value, std::size_t limit = max_text_bytes);
    /// Cuts at `limit`, between two characters.
    void sentence(const char* field, const std::string& value, std::size_t limit);
    void list(const char* field, const std::vector<std::string>& values, std::size_t limit);
    void bytes(const void* data, std::size_t size);
    /// Any bytes, as those of a path.
    void blob(const char* field, const std::string& value, std::size_t limit);
    /// `limit` holds for all of them together.
    void blobs(const char* field, const std::vector<std::string>& values, std::size_t most,
               std::size_t limit);
    void open(char type, const char* contents);
    void close();

    Result<> result() const;

private:
    void basic(char type, const void* value);
    void check(int r, const char* field = nullptr);

    base::ValueSink& sink_;
    int error_ = 0;
    const char* field_ = nullptr;
};

class Reader {
public:
    explicit Reader(base::ValueSource& source) noexcept : source_{source} {}

    void number(std::uint32_t& value) { basic('u', &value); }
    void number(std::uint64_t& value) { basic('t', &value); }
    void boolean(bool& value);
    void descriptor(int& fd) { basic('h', &fd); } ///< stays the message's
    void text(const char* field, std::string& value, std::size_t limit = max_text_bytes);
    void list(const char* field, std::vector<std::string>& values, std::size_t limit);
    void bytes(void* data, std::size_t size); ///< exactly `size`
    void blob(const char* field, std::string& value, std::size_t limit);
    void blobs(const char* field, std::vector<std::string>& values, std::size_t most,
               std::size_t limit);
    /// False at the end of the array around it, or after an error.
    bool open(char type, const char* contents);
    void must_open(char type, const char* contents);
    void close();
    void skip(const char* signature);
    void refuse(const char* field);

    template <typename Enum>
    void choice(const char* field, Enum& value, Enum last) {
        std::uint32_t number_read = 0;
        number(number_read);
        if (number_read > static_cast<std::uint32_t>(last))
            refuse(field);
        else
            value = static_cast<Enum>(number_read);
    }

    bool ok() const noexcept { return !failed_; }
    std::unexpected<Error> error() const;

    template <typename T>
    Result<T> result(T value) const {
        if (failed_)
            return error();
        return value;
    }

private:
    bool basic(char type, void* value);
    bool check(int r);

    base::ValueSource& source_;
    bool failed_ = false;
    const char* field_ = nullptr;
};

/// For messages with a secret in them.
template <typename Carrier>
Result<> mark_sensitive(Carrier& carrier) {
    const int r = carrier.sensitive();
    if (r < 0)
        return fail(r, "marking a message as sensitive");
    return {};
}

} // namespace vigil::wire
