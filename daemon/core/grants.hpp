#pragma once
// What is said where a proof is asked for or given, by the two files that do it.

#include "daemon/core/state.hpp"

namespace vigil::core {

inline constexpr const char* cannot_write = "vigil cannot write its state; see `vigilctl status`.";

inline wire::AskReply denied(std::string why) {
    return {.verdict = wire::AskReply::Verdict::denied, .text = std::move(why)};
}

inline wire::AskReply allowed(std::string why) {
    return {.verdict = wire::AskReply::Verdict::allowed, .text = std::move(why)};
}

} // namespace vigil::core
