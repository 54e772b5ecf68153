#pragma once
// Owners for libyaml's handles (yaml.h).

#include <memory>
#include <new>

#include <yaml.h>

namespace vigil::base {

struct YamlDeleter {
    void operator()(yaml_parser_t* parser) const noexcept {
        yaml_parser_delete(parser);
        delete parser;
    }
};

using YamlParser = std::unique_ptr<yaml_parser_t, YamlDeleter>;

/// Throws std::bad_alloc.
inline YamlParser make_yaml_parser() {
    auto raw = std::make_unique<yaml_parser_t>();
    if (yaml_parser_initialize(raw.get()) == 0)
        throw std::bad_alloc{};
    return YamlParser{raw.release()};
}

/// One event; empty until yaml_parser_parse(3) has filled it.
class YamlEvent {
public:
    YamlEvent() noexcept = default;
    YamlEvent(const YamlEvent&) = delete;
    YamlEvent& operator=(const YamlEvent&) = delete;
    ~YamlEvent() { yaml_event_delete(&event_); }
    yaml_event_t* get() noexcept { return &event_; }
    const yaml_event_t* operator->() const noexcept { return &event_; }

private:
    yaml_event_t event_{};
};

} // namespace vigil::base
