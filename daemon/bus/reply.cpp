#include "base/accounts.hpp"
#include "base/log.hpp"
#include "daemon/bus/api.hpp"
#include "wire/bus_codec.hpp"
#include "wire/names.hpp"

#include <unistd.h>

namespace vigil::bus {

void reply_error(const Call& call, const char* name, const std::string& text) {
    const auto line = base::escape(text, wire::max_reason_bytes);
    if (const int r = sd_bus_reply_method_errorf(call.get(), name, "%s", line.c_str()); r < 0)
        base::log(base::Level::debug, "an answer finds nobody any more");
}

void reply(const Call& call, const std::function<Result<>(sd_bus_message*)>& fill) {
    sd_bus_message* raw = nullptr;
    if (sd_bus_message_new_method_return(call.get(), &raw) < 0) {
        reply_error(call, wire::error_broken, "vigild has no memory for an answer");
        return;
    }
    const base::BusMessage message{raw};
    if (const auto filled = fill(raw); !filled) {
        base::log(base::Level::error, "an answer cannot be built: " + filled.error().text());
        reply_error(call, wire::error_broken, "vigild could not build its answer");
        return;
    }
    if (sd_bus_send(nullptr, raw, nullptr) < 0)
        base::log(base::Level::debug, "an answer finds nobody any more");
}

namespace {

Result<> append_number(sd_bus_message* message, std::uint64_t number) {
    const int r = sd_bus_message_append_basic(message, 't', &number);
    return r < 0 ? fail(r, "a number") : Result<>{};
}

struct Answer {
    const Call& call;

    void operator()(const core::ReplyReserve& what) const {
        reply(call, [&](auto* message) { return wire::append(message, what.reply); });
    }
    void operator()(const core::ReplyAsk& what) const {
        reply(call, [&](auto* message) { return wire::append(message, what.reply); });
    }
    void operator()(const core::ReplyProve& what) const {
        reply(call, [&](auto* message) { return wire::append(message, what.reply); });
    }
    void operator()(const core::ReplyRequested& what) const {
        reply(call, [&](auto* message) { return wire::append(message, what.reply); });
    }
    void operator()(const core::ReplyLimit& what) const {
        reply(call, [&](auto* message) { return append_number(message, what.max_seconds); });
    }
    void operator()(const core::ReplyWait& what) const {
        reply(call, [&](auto* message) { return append_number(message, what.seconds); });
    }
    void operator()(const core::ReplyId& what) const {
        reply(call, [&](auto* message) { return wire::append_text(message, what.id); });
    }
    void operator()(const core::ReplyDone& what) const {
        if (what.error)
            reply_error(call, what.error, what.text);
        else
            reply(call, [](auto*) { return Result<>{}; });
    }
};

} // namespace

void answer(const Call& call, const shell::Reply& what) {
    std::visit(Answer{call}, what);
}

std::string name_of(uid_t uid) {
    const auto account = base::find_account(uid);
    return account && *account ? (*account)->name : std::to_string(uid);
}

std::string caller_name(const Call& call) {
    return name_of(call.uid);
}

std::string host_name() {
    char name[256] = {};
    return gethostname(name, sizeof name - 1) == 0 ? name : "this host";
}

std::uint64_t wire_time(WallTime time) noexcept {
    const auto since_epoch = time.time_since_epoch().count();
    return since_epoch < 0 ? 0 : static_cast<std::uint64_t>(since_epoch);
}

std::uint64_t wire_limit(Seconds limit) noexcept {
    return limit == never ? wire::unlimited : static_cast<std::uint64_t>(limit.count());
}

} // namespace vigil::bus
