#pragma once
// The values of a D-Bus message, whichever code carries it: sd-bus (base/bus_values.hpp) or the few
// files of our own that are loaded into other programs (base/dbus_values.hpp). Types, arguments and
// results are those of sd_bus_message_append_basic(3), sd_bus_message_read_basic(3) and their kin.

#include <cstddef>

namespace vigil::base {

class ValueSink {
public:
    virtual ~ValueSink() = default;

    virtual int basic(char type, const void* value) = 0;
    virtual int array(char type, const void* data, std::size_t size) = 0;
    virtual int open(char type, const char* contents) = 0;
    virtual int close() = 0;
    virtual int sensitive() = 0; ///< to be wiped when it goes: sd_bus_message_sensitive(3)
};

class ValueSource {
public:
    virtual ~ValueSource() = default;

    virtual int basic(char type, void* value) = 0;
    virtual int array(char type, const void** data, std::size_t* size) = 0;
    virtual int open(char type, const char* contents) = 0;
    virtual int close() = 0;
    virtual int at_end() = 0; ///< of the container, or of the message
    virtual int skip(const char* signature) = 0;
    virtual int sensitive() = 0;
};

} // namespace vigil::base
