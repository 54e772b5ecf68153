#pragma once
// The values of sd-bus's messages.

#include "base/systemd.hpp"
#include "base/values.hpp"

namespace vigil::base {

class BusSink final : public ValueSink {
public:
    explicit BusSink(sd_bus_message* message) noexcept : message_{message} {}

    int basic(char type, const void* value) override {
        return sd_bus_message_append_basic(message_, type, value);
    }
    int array(char type, const void* data, std::size_t size) override {
        return sd_bus_message_append_array(message_, type, data, size);
    }
    int open(char type, const char* contents) override {
        return sd_bus_message_open_container(message_, type, contents);
    }
    int close() override { return sd_bus_message_close_container(message_); }
    int sensitive() override { return sd_bus_message_sensitive(message_); }

private:
    sd_bus_message* message_;
};

class BusSource final : public ValueSource {
public:
    explicit BusSource(sd_bus_message* message) noexcept : message_{message} {}

    int basic(char type, void* value) override {
        return sd_bus_message_read_basic(message_, type, value);
    }
    int array(char type, const void** data, std::size_t* size) override {
        return sd_bus_message_read_array(message_, type, data, size);
    }
    int open(char type, const char* contents) override {
        return sd_bus_message_enter_container(message_, type, contents);
    }
    int close() override { return sd_bus_message_exit_container(message_); }
    int at_end() override { return sd_bus_message_at_end(message_, 0); }
    int skip(const char* signature) override { return sd_bus_message_skip(message_, signature); }
    int sensitive() override { return sd_bus_message_sensitive(message_); }

private:
    sd_bus_message* message_;
};

} // namespace vigil::base
