#include "base/accounts.hpp"
#include "base/log.hpp"
#include "daemon/bus/api.hpp"
#include "wire/codec.hpp"
#include "wire/names.hpp"

#include <unistd.h>

namespace vigil::bus {

void reply_error(const Call& call, const char* name, const std::string& text) {
    call.message->refuse(name, base::escape(text, wire::max_reason_bytes));
}

void reply(const Call& call, const Incoming::Fill& fill) {
    if (const auto done = call.message->answer(fill); !done) {
        base::log(base::Level::error, "an answer cannot be built: " + done.error().text());
        reply_error(call, wire::error_broken, "vigild could not build its answer");
    }
}

namespace {

Result<> append_number(base::ValueSink& sink, std::uint64_t number) {
    const int r = sink.basic('t', &number);
    return r < 0 ? fail(r, "a number") : Result<>{};
}

struct Answer {
    const Call& call;

    void operator()(const core::ReplyReserve& what) const {
        reply(call, [&](auto& sink) { return wire::append(sink, what.reply); });
    }
    void operator()(const core::ReplyAsk& what) const {
        reply(call, [&](auto& sink) { return wire::append(sink, what.reply); });
    }
    void operator()(const core::ReplyProve& what) const {
        reply(call, [&](auto& sink) { return wire::append(sink, what.reply); });
    }
    void operator()(const core::ReplyRequested& what) const {
        reply(call, [&](auto& sink) { return wire::append(sink, what.reply); });
    }
    void operator()(const core::ReplyLimit& what) const {
        reply(call, [&](auto& sink) { return append_number(sink, what.max_seconds); });
    }
    void operator()(const core::ReplyWait& what) const {
        reply(call, [&](auto& sink) { return append_number(sink, what.seconds); });
    }
    void operator()(const core::ReplyId& what) const {
        reply(call, [&](auto& sink) { return wire::append_text(sink, what.id); });
    }
    void operator()(const core::ReplyDone& what) const {
        if (what.error)
            reply_error(call, what.error, what.text);
        else
            reply(call, [](auto&) { return Result<>{}; });
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
