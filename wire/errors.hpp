#pragma once
// vigil's D-Bus errors as errnos for callers, and the question each of them asks: is vigild away?
// BusClient::call() puts sd_bus_error_get_errno(3) into Error::code, which knows our names only
// after register_errors(). Header only.

#include "base/error.hpp"
#include "wire/names.hpp"

#include <cerrno>

#include <systemd/sd-bus.h>

namespace vigil::wire {

inline constexpr int code_denied = EACCES;
inline constexpr int code_not_found = ESRCH; ///< not ENOENT: that is a socket that is not there
inline constexpr int code_invalid = EINVAL;
inline constexpr int code_too_many = EBUSY;
inline constexpr int code_broken = EIO;

/// What a method answers that failed so. What has no name of its own is vigild's trouble, and not
/// the caller's.
inline const char* error_of(const Error& error) noexcept {
    switch (error.code) {
    case code_denied:
        return error_denied;
    case code_not_found:
        return error_not_found;
    case code_invalid:
        return error_invalid;
    case code_too_many:
        return error_too_many;
    default:
        return error_broken;
    }
}

/// Once, at the start of a program. Not in modules: it changes the state of libsystemd.
inline void register_errors() noexcept {
    static const sd_bus_error_map map[] = {
        SD_BUS_ERROR_MAP(error_denied, code_denied),
        SD_BUS_ERROR_MAP(error_not_found, code_not_found),
        SD_BUS_ERROR_MAP(error_invalid, code_invalid),
        SD_BUS_ERROR_MAP(error_too_many, code_too_many),
        SD_BUS_ERROR_MAP(error_broken, code_broken),
        SD_BUS_ERROR_MAP_END,
    };
    sd_bus_error_add_map(map);
}

/// No answer came, rather than one we do not like: nobody there, stopped, killed in mid-call.
inline bool is_away(const Error& error) noexcept {
    switch (error.code) {
    case ENOENT:
    case ECONNREFUSED:
    case ECONNRESET:
    case ENOTCONN:
    case EPIPE:
    case ETIMEDOUT:
    case EHOSTUNREACH: // org.freedesktop.DBus.Error.ServiceUnknown
    case ENXIO:        // org.freedesktop.DBus.Error.NameHasNoOwner
        return true;
    default:
        return false;
    }
}

} // namespace vigil::wire
