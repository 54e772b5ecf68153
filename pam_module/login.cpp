#include "pam_module/login.hpp"

#include "pam_module/blocked.hpp"
#include "pam_module/conversation.hpp"
#include "wire/codec.hpp"

#include <cstring>
#include <exception>
#include <memory>
#include <optional>

#include <syslog.h>

namespace vigil::pam {

namespace {

constexpr const char* reservation_data = "vigil.reservation";
constexpr const char* runtime_data = "systemd.runtime_max_sec"; // read by pam_systemd

/// PID 1 ends the session so much later than vigild would: it is the backstop, not the clock.
constexpr std::uint64_t backstop_seconds = 60;

/// More than this and systemd's microseconds overflow; nobody lives to see it.
constexpr std::uint64_t most_seconds = 100ull * 365 * 24 * 3600;

using Reservation = wire::ReserveReply;

void drop_reservation(pam_handle_t*, void* data, int) noexcept {
    delete static_cast<Reservation*>(data);
}

void drop_text(pam_handle_t*, void* data, int) noexcept {
    delete[] static_cast<char*>(data);
}

/// What the account phase of this process was told. Not there after keyboard-interactive in sshd,
/// whose account phase was another process.
const Reservation* reservation(pam_handle_t* pam) {
    const void* data = nullptr;
    return pam_get_data(pam, reservation_data, &data) == PAM_SUCCESS
               ? static_cast<const Reservation*>(data)
               : nullptr;
}

void remember(pam_handle_t* pam, Reservation reply) {
    auto kept = std::make_unique<Reservation>(std::move(reply));
    if (pam_set_data(pam, reservation_data, kept.get(), drop_reservation) == PAM_SUCCESS)
        (void)kept.release();
}

bool is_not_a_login(pam_handle_t* pam) {
    const Reservation* const kept = reservation(pam);
    return kept && kept->verdict == Reservation::Verdict::not_a_login;
}

/// The reply to a call that carries the leader and `login`, if there is one.
Result<base::BusMessage> call_manager(Call& call, const char* method, const wire::Login* login) {
    const auto leader = open_leader(call.service_text);
    if (!leader)
        return std::unexpected{leader.error()};
    return call.vigild.call(wire::manager_interface, method, [&](sd_bus_message* request) {
        auto done = wire::append_fd(request, leader->get());
        return done && login ? wire::append(request, *login) : done;
    });
}

Result<std::uint64_t> max_seconds(Call& call) {
    if (const Reservation* const kept = reservation(call.pam))
        return kept->max_seconds;
    const auto reply = call_manager(call, "Prepare", nullptr);
    if (!reply)
        return std::unexpected{reply.error()};
    return wire::read<std::uint64_t>(reply->get());
}

struct Answer {
    Outcome outcome;
    std::string reason; ///< for the user, of `refused`
};

Answer ask_for_reservation(Call& call) {
    const auto user = find_user(call.pam);
    if (!user)
        return {user.error(), {}};
    if (auto reason = blocked(call.pam, call.options.socket, user->uid))
        return {Outcome::refused, std::move(*reason)};
    const auto login = gather_login(call.pam, *user);
    if (!login)
        return {unavailable(call, login.error()), {}};
    const auto message = call_manager(call, "Reserve", &*login);
    if (!message)
        return {unavailable(call, message.error()), {}};
    auto reply = wire::read<Reservation>(message->get());
    if (!reply)
        return {unavailable(call, reply.error()), {}};
    switch (reply->verdict) {
    case Reservation::Verdict::refused:
        return {Outcome::refused, std::move(reply->reason)};
    case Reservation::Verdict::reserved:
        remember(call.pam, std::move(*reply));
        return {Outcome::granted, {}};
    case Reservation::Verdict::not_a_login:
        remember(call.pam, std::move(*reply));
        return {Outcome::not_applicable, {}};
    }
    return {Outcome::unavailable, {}};
}

} // namespace

Outcome reserve_login(Call& call) {
    Answer answer{Outcome::unavailable, {}};
    try {
        answer = ask_for_reservation(call);
    } catch (const std::exception& exception) {
        answer.outcome = unavailable(call, Error{0, exception.what()});
    }
    const bool refused = answer.outcome == Outcome::refused;
    const bool is_no = refused || (answer.outcome == Outcome::unavailable &&
                                   call.options.unavailable == Options::Unavailable::deny);
    // There is always a way back in: who can mend what is wrong here is not kept out by it.
    if (is_no && is_root_at_console(call.pam)) {
        log(call.pam, LOG_WARNING,
            "root at the console is let in although " +
                (refused ? "refused: " + answer.reason : std::string{"vigild cannot be asked"}));
        return Outcome::not_applicable;
    }
    return refused ? refuse(call, answer.reason) : answer.outcome;
}

Outcome prepare_session(Call& call) {
    if (is_not_a_login(call.pam))
        return Outcome::not_applicable;
    const auto limit = max_seconds(call);
    if (!limit)
        return unavailable(call, limit.error());
    const void* other = nullptr;
    if (*limit > most_seconds)
        return Outcome::granted;
    if (pam_get_data(call.pam, runtime_data, &other) == PAM_SUCCESS && other) {
        // Somebody's own limit (pam_time_limit, or a second open) is not ours to lengthen.
        return Outcome::granted;
    }
    const std::string text = std::to_string(*limit + backstop_seconds) + "s";
    auto kept = std::make_unique<char[]>(text.size() + 1);
    std::memcpy(kept.get(), text.c_str(), text.size() + 1);
    if (pam_set_data(call.pam, runtime_data, kept.get(), drop_text) != PAM_SUCCESS)
        return unavailable(call, Error{0, "no memory for systemd's limit"});
    (void)kept.release();
    return Outcome::granted;
}

Outcome confirm_session(Call& call) {
    if (is_not_a_login(call.pam))
        return Outcome::not_applicable;
    const auto user = find_user(call.pam);
    if (!user)
        return user.error();
    const auto login = gather_login(call.pam, *user);
    if (!login)
        return unavailable(call, login.error());
    const auto reply = call_manager(call, "Confirm", &*login);
    if (!reply)
        return unavailable(call, reply.error());
    const auto id = wire::read<std::string>(reply->get());
    if (!id)
        return unavailable(call, id.error());
    if (call.options.debug)
        log(call.pam, LOG_DEBUG, "session " + *id);
    return Outcome::granted;
}

Outcome release_session(Call& call) {
    if (is_not_a_login(call.pam))
        return Outcome::not_applicable;
    const auto reply = call_manager(call, "Release", nullptr);
    return reply ? Outcome::granted : unavailable(call, reply.error());
}

} // namespace vigil::pam
