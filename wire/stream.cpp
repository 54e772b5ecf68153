#include "wire/stream.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace vigil::wire {

void Writer::check(int r, const char* field) {
    if (r < 0 && error_ == 0) {
        error_ = r;
        field_ = field;
    }
}

void Writer::basic(char type, const void* value) {
    if (error_ == 0)
        check(sink_.basic(type, value));
}

void Writer::boolean(bool value) {
    const int number = value ? 1 : 0;
    basic('b', &number);
}

void Writer::text(const char* field, const std::string& value, std::size_t limit) {
    if (error_ != 0)
        return;
    if (value.size() > limit)
        check(-EMSGSIZE, field);
    else if (value.find('\0') != value.npos) // c_str() would cut it into another name
        check(-EINVAL, field);
    else
        check(sink_.basic('s', value.c_str()), field);
}

void Writer::sentence(const char* field, const std::string& value, std::size_t limit) {
    std::size_t end = value.size();
    if (end > limit)
        for (end = limit; end > 0 && (static_cast<unsigned char>(value[end]) & 0xC0) == 0x80;)
            --end;
    text(field, value.substr(0, end), limit);
}

void Writer::list(const char* field, const std::vector<std::string>& values, std::size_t limit) {
    if (values.size() > max_groups)
        check(-EMSGSIZE, field);
    open('a', "s");
    for (const std::string& value : values)
        text(field, value, limit);
    close();
}

void Writer::bytes(const void* data, std::size_t size) {
    if (error_ == 0)
        check(sink_.array('y', data, size));
}

void Writer::blob(const char* field, const std::string& value, std::size_t limit) {
    if (value.size() > limit)
        check(-EMSGSIZE, field);
    else if (value.find('\0') != value.npos) // none of the kernel's texts has one
        check(-EINVAL, field);
    bytes(value.data(), value.size());
}

void Writer::blobs(const char* field, const std::vector<std::string>& values, std::size_t most,
                   std::size_t limit) {
    if (values.size() > most)
        check(-EMSGSIZE, field);
    open('a', "ay");
    for (const std::string& value : values) {
        blob(field, value, limit);
        limit -= std::min(limit, value.size());
    }
    close();
}

void Writer::open(char type, const char* contents) {
    if (error_ == 0)
        check(sink_.open(type, contents));
}

void Writer::close() {
    if (error_ == 0)
        check(sink_.close());
}

Result<> Writer::result() const {
    if (error_ < 0)
        return fail(error_, std::string{"writing a message"} + (field_ ? ", " : "") +
                                (field_ ? field_ : ""));
    return {};
}

bool Reader::check(int r) {
    if (r < 0)
        failed_ = true;
    return r > 0 && !failed_;
}

void Reader::refuse(const char* field) {
    if (!failed_)
        field_ = field;
    failed_ = true;
}

bool Reader::basic(char type, void* value) {
    if (failed_)
        return false;
    const bool there = check(source_.basic(type, value));
    if (!there)
        failed_ = true; // 0 is the end of the message: a value that is not there
    return there;
}

void Reader::boolean(bool& value) {
    int number = 0;
    if (basic('b', &number))
        value = number != 0;
}

void Reader::text(const char* field, std::string& value, std::size_t limit) {
    const char* there = nullptr;
    if (!basic('s', &there))
        return;
    const std::size_t size = strnlen(there, limit + 1);
    if (size > limit)
        refuse(field);
    else
        value.assign(there, size);
}

void Reader::list(const char* field, std::vector<std::string>& values, std::size_t limit) {
    must_open('a', "s");
    while (!failed_ && source_.at_end() == 0) {
        if (values.size() == max_groups)
            return refuse(field);
        text(field, values.emplace_back(), limit);
    }
    close();
}

void Reader::bytes(void* data, std::size_t size) {
    if (failed_)
        return;
    const void* there = nullptr;
    std::size_t got = 0;
    check(source_.array('y', &there, &got));
    if (!failed_ && got == size)
        std::memcpy(data, there, size);
    else
        failed_ = true;
}

void Reader::blob(const char* field, std::string& value, std::size_t limit) {
    if (failed_)
        return;
    const void* there = nullptr;
    std::size_t got = 0;
    check(source_.array('y', &there, &got));
    if (failed_ || got > limit || (got > 0 && std::memchr(there, '\0', got) != nullptr))
        return refuse(field);
    value.assign(static_cast<const char*>(there), got);
}

void Reader::blobs(const char* field, std::vector<std::string>& values, std::size_t most,
                   std::size_t limit) {
    must_open('a', "ay");
    while (!failed_ && source_.at_end() == 0) {
        if (values.size() == most)
            return refuse(field);
        blob(field, values.emplace_back(), limit);
        limit -= std::min(limit, values.back().size());
    }
    close();
}

bool Reader::open(char type, const char* contents) {
    return !failed_ && check(source_.open(type, contents));
}

void Reader::must_open(char type, const char* contents) {
    if (!open(type, contents))
        failed_ = true;
}

void Reader::close() {
    if (!failed_)
        check(source_.close());
}

void Reader::skip(const char* signature) {
    if (!failed_)
        check(source_.skip(signature));
}

std::unexpected<Error> Reader::error() const {
    if (field_ == nullptr)
        return fail(EBADMSG, "reading a message");
    return fail(EBADMSG, std::string{"reading a message, "} + field_ + " is out of bounds");
}

} // namespace vigil::wire
