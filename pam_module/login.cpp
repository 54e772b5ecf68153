#include "pam_module/login.hpp"

#include "pam_module/conversation.hpp"
#include "pam_module/login_factors.hpp"
#include "wire/beside.hpp"
#include "wire/block_mark.hpp"
#include "wire/codec.hpp"

#include <cerrno>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>

#include <sys/stat.h>
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
Result<base::DbusMessage> call_manager(Call& call, const char* method, const wire::Login* login) {
    const auto leader = open_leader(call.service_text);
    if (!leader)
        return std::unexpected{leader.error()};
    return call.vigild.call(wire::manager_interface, method, [&](base::ValueSink& request) {
        auto done = wire::append_fd(request, leader->get());
        return done && login ? wire::append(request, *login) : done;
    });
}

Result<std::uint64_t> max_seconds(Call& call) {
    if (const Reservation* const kept = reservation(call.pam))
        return kept->max_seconds;
    return wire::read_reply<std::uint64_t>(call_manager(call, "Prepare", nullptr));
}

struct Answer {
    Outcome outcome;
    std::string reason; ///< for the user, of `refused`
};

Answer ask_for_reservation(Call& call, const User& user) {
    const auto login = gather_login(call.pam, user);
    if (!login)
        return {unavailable(call, login.error()), {}};
    auto reply = wire::read_reply<Reservation>(call_manager(call, "Reserve", &*login));
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
    const auto user = find_user(call.pam);
    if (!user)
        return user.error();
    Answer answer{Outcome::unavailable, {}};
    try {
        answer = ask_for_reservation(call, *user);
    } catch (const std::exception& exception) {
        answer.outcome = unavailable(call, Error{0, exception.what()});
    }
    if (answer.outcome == Outcome::unavailable && only_observes(call))
        return Outcome::not_applicable;
    if (answer.outcome == Outcome::unavailable)
        if (const auto reason = wire::blocked_by_mark(call.options.socket, user->uid))
            answer = {Outcome::refused, *reason};
    if (answer.outcome == Outcome::unavailable && is_proof_owing(call.pam))
        answer = {Outcome::refused, "this login needs a proof, and vigild cannot be asked "
                                    "about it. See: systemctl status vigild"};
    // By a key alone sshd comes to no auth phase.
    if (answer.outcome == Outcome::unavailable &&
        call.options.unavailable != Options::Unavailable::allow && has_skipped_proof(call, *user))
        answer = {Outcome::refused, "a rule asks for a proof at login, and vigild cannot be asked "
                                    "about it. See: systemctl status vigild"};
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
    const auto id = wire::read_reply<std::string>(call_manager(call, "Confirm", &*login));
    if (!id)
        return unavailable(call, id.error());
    if (call.options.debug)
        log(call.pam, LOG_DEBUG, "session " + *id);
    return Outcome::granted;
}

/// vigild leaves a mark beside its socket while a rule is about any of this, so that a sudo of
/// everybody else's costs no question.
bool is_none_elevated(const std::string& socket) {
    const auto mark = wire::beside(socket, wire::elevated_mark);
    struct stat status{};
    return ::lstat(mark.c_str(), &status) != 0 && errno == ENOENT;
}

/// PAM_USER is whom the command runs as by now, in sudo too.
Outcome begin_elevated(Call& call) {
    if (is_none_elevated(call.options.socket))
        return Outcome::not_applicable;
    const auto user = find_user(call.pam);
    if (!user)
        return user.error();
    const auto process = open_self();
    if (!process)
        return unavailable(call, process.error());
    const auto id = wire::read_reply<std::string>(
        call.vigild.call(wire::manager_interface, "Elevated", [&](base::ValueSink& sink) {
            auto done = wire::append_fd(sink, process->get());
            if (done)
                done = wire::append_text(sink, call.service_text);
            return done ? wire::append_text(sink, user->name) : done;
        }));
    if (!id)
        return unavailable(call, id.error());
    if (call.options.debug && !id->empty())
        log(call.pam, LOG_DEBUG, "elevated session " + *id);
    return Outcome::granted;
}

Outcome release_session(Call& call) {
    if (is_not_a_login(call.pam))
        return Outcome::not_applicable;
    const auto reply = call_manager(call, "Release", nullptr);
    return reply ? Outcome::granted : unavailable(call, reply.error());
}

} // namespace vigil::pam
