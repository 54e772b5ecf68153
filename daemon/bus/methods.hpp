#pragma once
// The table of methods, for those who bring calls to it.

#include "base/log.hpp"
#include "daemon/bus/api.hpp"

#include <string_view>
#include <vector>

namespace vigil::bus {

/// A method as it stands in an interface.
struct Signed {
    const char* interface;
    const char* name;
    const char* in;
    const char* out;
};

std::vector<Signed> methods_of(const char* interface);

/// Whether its handler has to know Call::pid.
bool asks_for_process(const Call& call);

/// The id in a session object's path, "" where it is none.
std::string session_in(std::string_view path);

/// Authorizes and carries out. The caller is known.
void handle(Api& api, Call call);

/// Without the memory for that there is no answer, which the caller takes for a no.
void refuse_broken(const Call& call) noexcept;

/// What is thrown ends with an answer.
template <typename Doing>
void guarded(const Call& call, Doing doing) noexcept {
    try {
        doing();
    } catch (const std::exception& error) {
        base::log(base::Level::error, std::string_view{error.what()});
        refuse_broken(call);
    }
}

} // namespace vigil::bus
