#include "terminal/prompt.hpp"

#include "base/clock.hpp"
#include "base/log.hpp"
#include "terminal/other_login.hpp"
#include "wire/errors.hpp"

#include <algorithm>

namespace vigil::terminal {

namespace {

/// With vigild away nobody says how long to wait after a wrong answer.
constexpr std::uint64_t wait_without_vigild = 4;
/// How long a yes is kept for a vigild that is away; then the person is asked anew.
constexpr Seconds keep_yes{30};
constexpr Microseconds retry_yes{200'000};
/// Looking for vigild with nothing to show: PID 1 is starting it again.
constexpr Microseconds first_look{200'000};
constexpr Microseconds last_look = Seconds{5};

std::string seconds_text(std::uint64_t seconds) {
    return std::to_string(seconds) + " s";
}

bool is_code(std::string_view answer) {
    return answer.size() == 6 &&
           std::ranges::all_of(answer, [](char c) { return c >= '0' && c <= '9'; });
}

} // namespace

Prompt::Prompt(const Options& options, const Tty& tty)
    : pam_{.user = {}, .terminal = options.terminal, .directory = options.pam_directory}, tty_{tty},
      lock_console_{options.lock_console},
      vigild_{options.socket, options.session, options.terminal} {}

void Prompt::run() {
    if (refresh() == Next::leave)
        return;
    if (info_.wait_seconds > 0 && count_down(info_.wait_seconds, "") == Next::leave)
        return;
    while (read_answer() == Next::go_on && judge() == Next::go_on) {
    }
}

/// Asks what is locked, for as long as it takes.
Prompt::Next Prompt::refresh() {
    Microseconds pause = first_look;
    while (true) {
        auto info = vigild_.lock_info();
        if (info) {
            info_ = std::move(*info);
            return info_.locked ? Next::go_on : Next::leave;
        }
        if (info.error().code == wire::code_not_found) { // the session is gone: nothing to unlock
            if (lock_console_)
                free_switching(tty_.fd());
            return Next::leave;
        }
        if (pause == first_look)
            base::log(base::Level::warning, "asking vigild: " + info.error().text());
        message_ = wire::is_away(info.error()) ? "vigild is away; waiting for it."
                                               : "vigild refuses: " + info.error().what;
        draw(false);
        if (wait_for_vigild(pause) == Next::leave)
            return Next::leave;
        message_.clear();
        pause = std::min(pause * 2, last_look);
    }
}

/// No answer is taken meanwhile, but somebody else can get in: root, to mend what is broken.
Prompt::Next Prompt::wait_for_vigild(Microseconds patience) {
    char buffer[256];
    const auto heard = tty_.wait(patience, lock_console_);
    if (heard == Tty::Heard::hung_up)
        return Next::leave;
    if (heard == Tty::Heard::input) {
        const auto bytes = tty_.read(buffer, sizeof buffer);
        if (!bytes)
            return Next::leave;
        if (keys_.feed(*bytes) == Keys::Event::console_f1)
            let_somebody_else_in();
        base::wipe(buffer, sizeof buffer);
    }
    keys_.clear();
    tty_.flush();
    return Next::go_on;
}

void Prompt::let_somebody_else_in() {
    if (!lock_console_)
        return;
    const auto offered = offer_login(tty_.fd());
    if (!offered)
        base::log(base::Level::warning, "offering a login: " + offered.error().text());
    message_ = offered ? "" : "There is no console for another login.";
}

/// Sleeps until a key comes; a locked terminal that nobody touches costs no wakeup.
Prompt::Next Prompt::read_answer() {
    char buffer[4096];
    keys_.clear();
    tty_.flush();
    draw(true);
    while (true) {
        const Microseconds patience = keys_.patience();
        const auto heard = patience.count() == 0 ? tty_.wait(std::nullopt) : tty_.wait(patience);
        if (heard == Tty::Heard::hung_up)
            return Next::leave;
        if (heard == Tty::Heard::silence) {
            keys_.settle();
            continue;
        }
        const auto bytes = tty_.read(buffer, sizeof buffer);
        if (!bytes)
            return Next::leave;
        const auto event = keys_.feed(*bytes);
        base::wipe(buffer, sizeof buffer);
        if (event == Keys::Event::submitted)
            return Next::go_on;
        if (event == Keys::Event::too_long)
            message_ = "Too long; nothing was taken.";
        if (event == Keys::Event::console_f1)
            let_somebody_else_in();
        if (event != Keys::Event::none || tty_.size() != drawn_size_)
            draw(true);
    }
}

/// What is taken can have changed since it was drawn: another process may hold the terminal now.
bool Prompt::takes(std::string_view answer) const {
    const auto taken = [this](const char* factor) {
        return std::ranges::find(info_.factors, factor) != info_.factors.end();
    };
    return taken("password") || (taken("totp") && is_code(answer));
}

Prompt::Next Prompt::judge() {
    const base::Secret answer = keys_.take();
    if (refresh() == Next::leave)
        return Next::leave;
    if (info_.wait_seconds > 0)
        return count_down(info_.wait_seconds, "");
    if (!takes(answer.view())) {
        message_ = info_.factors.empty() ? "" : "Only a code of 6 digits is taken here.";
        return Next::go_on;
    }
    message_ = "Checking ...";
    draw(false);
    pam_.user = info_.user;
    const PamOutcome outcome = ask_pam(pam_, answer);
    message_.clear();
    if (!outcome.accepted)
        return report_no(outcome.text);
    if (outcome.factor == "password" &&
        std::ranges::find(info_.factors, "password") == info_.factors.end())
        return report_no("Only a code is taken here.");
    return report_yes(outcome.factor);
}

/// The person has proved himself and does not type again because a daemon is being restarted.
Prompt::Next Prompt::report_yes(const std::string& factor) {
    const BootTime until = base::read_boot_time() + keep_yes;
    while (true) {
        const auto told = vigild_.unlocked(factor);
        if (told || told.error().code == wire::code_not_found)
            return Next::leave;
        base::log(base::Level::warning, "telling vigild of an unlock: " + told.error().text());
        if (!wire::is_away(told.error())) {
            message_ = "vigild refuses: " + told.error().what;
            return Next::go_on;
        }
        if (base::read_boot_time() >= until) {
            message_ = "vigild did not come back. Try again, or ask an administrator.";
            return Next::go_on;
        }
        message_ = "vigild is away; unlocking as soon as it is back.";
        draw(false);
        if (tty_.wait(retry_yes, false) == Tty::Heard::hung_up)
            return Next::leave;
    }
}

Prompt::Next Prompt::report_no(const std::string& why) {
    const auto wait = vigild_.unlock_failed();
    if (!wait && wait.error().code == wire::code_not_found)
        return Next::leave;
    if (!wait)
        base::log(base::Level::warning, "telling vigild of a failure: " + wait.error().text());
    return count_down(wait.value_or(wait_without_vigild), why.empty() ? "Wrong." : why);
}

Prompt::Next Prompt::count_down(std::uint64_t seconds, const std::string& why) {
    const std::string lead = why.empty() ? "" : why + " ";
    const BootTime end =
        base::read_boot_time() + Seconds{std::min<std::uint64_t>(seconds, 24 * 60 * 60)};
    while (true) {
        const auto left = std::chrono::ceil<Seconds>(end - base::read_boot_time());
        if (left.count() <= 0)
            break;
        message_ =
            lead + "Next try in " + seconds_text(static_cast<std::uint64_t>(left.count())) + ".";
        draw(false);
        const auto tick = end - base::read_boot_time() - (left - Seconds{1});
        if (tty_.wait(tick, false) == Tty::Heard::hung_up)
            return Next::leave;
        tty_.flush();
    }
    message_ = why;
    return Next::go_on;
}

void Prompt::draw(bool asking) {
    tty_.silence();
    drawn_size_ = tty_.size();
    const Now now = base::read_clocks();
    tty_.write(terminal::draw({.info = info_,
                               .message = message_,
                               .asking = asking,
                               .lock_console = lock_console_,
                               .now = now.wall,
                               .utc_offset = now.utc_offset},
                              drawn_size_));
}

} // namespace vigil::terminal
