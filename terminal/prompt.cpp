#include "terminal/prompt.hpp"

#include "base/clock.hpp"
#include "base/log.hpp"
#include "terminal/local_password.hpp"
#include "terminal/other_login.hpp"
#include "terminal/terminal_kind.hpp"
#include "wire/answer.hpp"
#include "wire/errors.hpp"

#include <algorithm>
#include <utility>

namespace vigil::terminal {

namespace {

/// With vigild away nobody says how long to wait after a wrong answer.
constexpr std::uint64_t wait_without_vigild = 4;
/// How long a yes is kept for a vigild that is away; then the person is asked anew.
constexpr Seconds keep_yes{30};
constexpr Microseconds retry_yes{200'000};
/// What is typed right behind a good answer has ended after this much silence; keys that never end
/// keep nobody out.
constexpr Microseconds end_of_burst{200'000};
constexpr Microseconds longest_burst = Seconds{2};
/// Between tries to read what is there and cannot be had: another program reads, for as long as it
/// likes, and nobody else may meanwhile.
constexpr Microseconds another_try{100'000};
/// Looking for vigild with nothing to show: PID 1 is starting it again.
constexpr Microseconds first_look{200'000};
constexpr Microseconds last_look = Seconds{5};
/// tmux, whose server reads beside the prompt at an older session's terminal, takes a key that the
/// prompt was faster to read for a hang-up: it wipes the screen and sets the terminal back. So it
/// is looked at after the keys, three times, each after a longer pause.
constexpr Microseconds first_look_after_keys{100'000};
constexpr int longer = 4;
constexpr Microseconds longest_look_after_keys = Seconds{2};
/// A read has 4 KiB at the most. What is more than this was pasted, and is dropped as such.
constexpr int most_dropped_reads = 64;

/// For what has not stopped yet: after that it is one that hangs in the kernel.
constexpr Microseconds longest_stop = Seconds{3};
constexpr Microseconds first_look_at_stop{1'000};
constexpr Microseconds last_look_at_stop{100'000};

std::string seconds_text(std::uint64_t seconds) {
    return std::to_string(seconds) + " s";
}

} // namespace

Prompt::Prompt(const Options& options, const Tty& tty)
    : pam_{.service = wire::unlock_stack,
           .user = {},
           .terminal = options.terminal,
           .directory = options.pam_directory,
           .without_delay = true},
      tty_{tty}, lock_console_{options.lock_console},
      vigild_{options.socket, options.session, options.terminal},
      held_{options.held, options.leader} {}

void Prompt::run() {
    ask();
    if (tty_.wait(Microseconds{0}, Tty::For::hang_up) == Tty::Heard::hung_up)
        outlast_vigild();
}

/// Nobody is at the terminal any more, and vigild ends what stands still there when the session is
/// over. While there is no vigild, this does.
void Prompt::outlast_vigild() {
    for (Microseconds pause = first_look; held_.is_known();
         pause = std::min(pause * 2, last_look)) {
        const auto info = vigild_.lock_info();
        if (info || !wire::is_away(info.error()))
            return;
        if (pause == first_look)
            base::log(base::Level::notice,
                      "the terminal is gone and vigild is away: waiting for the session's end");
        if (!held_.wait_for_end(pause))
            continue;
        if (const auto ended = held_.end(); !ended)
            base::log(base::Level::error, "ending what stands still: " + ended.error().text());
        else
            base::log(base::Level::warning,
                      "the session is over and vigild is away: ended what stood still");
        return;
    }
}

void Prompt::ask() {
    if (refresh() == Next::leave || await_stop() == Next::leave)
        return;
    if (info_.wait_seconds > 0 && count_down(info_.wait_seconds, "") == Next::leave)
        return;
    while (read_answer() == Next::go_on && judge() == Next::go_on) {
    }
}

/// A program that waited for a key when it was to stop, and has not had a processor since, takes
/// what has come first: that must be no answer.
Prompt::Next Prompt::await_stop() {
    const BootTime until = base::read_boot_time() + longest_stop;
    Microseconds pause = first_look_at_stop;
    while (!held_.stands_still() && base::read_boot_time() < until) {
        if (message_.empty()) {
            message_ = "One moment: a program has not stopped yet.";
            draw(false);
        }
        if (tty_.wait(pause, Tty::For::hang_up) == Tty::Heard::hung_up)
            return Next::leave;
        pause = std::min(pause * 2, last_look_at_stop);
    }
    message_.clear();
    return Next::go_on;
}

/// What kind of terminal it is; and what it shows, whenever vigild asks: one that has lost its
/// store under the lock asks once more.
void Prompt::meet_terminal() {
    if (!std::exchange(met_, true))
        plain_ = is_dumb({.shell = static_cast<pid_t>(info_.shell),
                          .foreground = static_cast<pid_t>(info_.foreground)});
    if (!info_.ask_screen)
        return;
    if (plain_)
        tell_screen(wire::Screen::plain);
    else if (!drew_)
        tty_.flush(); // typed ahead; from here on nothing is thrown away unread
    else if (screen_due().count() == 0)
        tell_screen(screen_.shows()); // too late to be asked: it shows what was drawn
}

/// Asked for a password all the same, since PAM may know of another one.
void Prompt::warn_of_no_password() {
    if (!takes("password"))
        return;
    std::string found;
    switch (local_password(info_.user)) {
    case LocalPassword::usable:
        return;
    case LocalPassword::none:
        found = "No password is set for " + info_.user + " on this host. Without one";
        break;
    case LocalPassword::locked:
        found = "The password of " + info_.user + " is locked on this host. Without another";
        break;
    case LocalPassword::empty:
        found = "The password of " + info_.user + " is empty, which opens no lock. Without another";
        break;
    }
    info_.warnings.push_back(found + ", ask an administrator to unlock this (vigilctl unlock), or "
                                     "close the connection and log in again.");
}

/// Asks what is locked, for as long as it takes.
Prompt::Next Prompt::refresh() {
    Microseconds pause = first_look;
    while (true) {
        auto info = vigild_.lock_info();
        if (info) {
            info_ = std::move(*info);
            if (!info_.locked)
                return Next::leave;
            held_.remember(info_);
            warn_of_no_password();
            if (untold_screen_)
                tell_screen(*untold_screen_);
            else
                meet_terminal();
            return Next::go_on;
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
    const auto heard = tty_.wait(patience, lock_console_ ? Tty::For::keys : Tty::For::hang_up);
    return heard == Tty::Heard::hung_up ? Next::leave : drop_input();
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
    if (drop_input() == Next::leave)
        return Next::leave;
    draw(true);
    while (true) {
        // A connection that stalled has lost the drawing: nobody there would know of the lock.
        const auto heard = tty_.wait(patience(), drawn_ ? Tty::For::keys : Tty::For::keys_or_room);
        if (heard == Tty::Heard::hung_up)
            return Next::leave;
        if (heard == Tty::Heard::room) {
            draw(true);
            continue;
        }
        if (heard == Tty::Heard::silence) {
            after_silence();
            continue;
        }
        const auto event = read();
        if (!event)
            return Next::leave;
        if (*event == Keys::Event::submitted)
            return Next::go_on;
        if (*event == Keys::Event::too_long)
            message_ = "Too long; nothing was taken.";
        if (*event == Keys::Event::several_lines)
            message_ = "Several lines at once are not taken.";
        if (*event == Keys::Event::console_f1)
            let_somebody_else_in();
        if (*event != Keys::Event::none || is_outdated())
            draw(true);
    }
}

/// How long for the next key before after_silence(); nullopt: for ever.
std::optional<Microseconds> Prompt::patience() const {
    const Microseconds unsettled = keys_.patience();
    if (unsettled.count() != 0)
        return screen_.is_under_way() ? std::max(unsettled, screen_due()) : unsettled;
    if (look_at_)
        return std::max(Microseconds{0}, *look_at_ - base::read_boot_time());
    return std::nullopt;
}

void Prompt::after_silence() {
    if (keys_.patience().count() != 0) {
        keys_.settle();
        return;
    }
    look_pause_ *= longer;
    look_at_.reset();
    if (look_pause_ <= longest_look_after_keys)
        look_at_ = base::read_boot_time() + look_pause_;
    if (!tty_.is_silent())
        draw(true);
}

/// All that is read goes through here. nullopt: hung up.
std::optional<Keys::Event> Prompt::read() {
    char buffer[4096];
    const auto bytes = tty_.read(buffer, sizeof buffer);
    if (!bytes)
        return std::nullopt;
    kept_from_it_ = bytes->empty();
    if (kept_from_it_ && tty_.wait(another_try, Tty::For::hang_up) == Tty::Heard::hung_up)
        return std::nullopt;
    const auto event = keys_.feed(*bytes);
    const bool answered = screen_.feed(*bytes);
    base::wipe(buffer, sizeof buffer);
    look_pause_ = first_look_after_keys;
    look_at_ = base::read_boot_time() + look_pause_;
    if (answered && asked_screen_)
        tell_screen(screen_.shows());
    return event;
}

/// What was typed while nothing is asked. Read, because half of the terminal's answer that is
/// thrown away leaves another half, which would be typed; so it is with a paste.
Prompt::Next Prompt::drop_input() {
    for (int i = 0; i < most_dropped_reads; ++i) {
        const auto heard = tty_.wait(Microseconds{0});
        if (heard == Tty::Heard::silence)
            break;
        const auto event = heard == Tty::Heard::hung_up ? std::nullopt : read();
        if (!event)
            return Next::leave;
        if (*event == Keys::Event::console_f1) // who waits for nothing here does not wait with us
            let_somebody_else_in();
        if (kept_from_it_)
            break;
    }
    if (screen_.has_begun() || keys_.is_pasting())
        keys_.forget_text();
    else
        keys_.clear();
    return Next::go_on;
}

/// Before the terminal is given back. An answer to what was asked may still be on its way, and
/// would be typed into what comes next. And who types right behind a password would lose what has
/// come until then, while the rest ran in the shell: it is lost whole. Nobody waits who has seen
/// the prompt before the keys came, and typed nothing behind them.
Prompt::Next Prompt::await_quiet() {
    const BootTime until = base::read_boot_time() + longest_burst;
    Microseconds pause{0};
    while (true) {
        const Microseconds left = until - base::read_boot_time();
        const auto due = screen_due();
        if (left.count() <= 0 && due.count() == 0)
            return Next::go_on;
        const auto heard = tty_.wait(std::max(due, std::min(pause, left)));
        if (heard == Tty::Heard::silence)
            return Next::go_on;
        const bool asked = asked_screen_.has_value();
        if (heard == Tty::Heard::hung_up || !read())
            return Next::leave;
        if (asked == asked_screen_.has_value()) // else it was the answer
            pause = end_of_burst;
    }
}

/// How long the terminal has left for its answer; zero: it is not awaited.
Microseconds Prompt::screen_due() const {
    if (!asked_screen_)
        return Microseconds{0};
    return std::max(Microseconds{0},
                    *asked_screen_ + wire::screen_patience - base::read_boot_time());
}

void Prompt::tell_screen(wire::Screen screen) {
    asked_screen_.reset();
    const auto told = vigild_.screen_seen(screen, screen_.cursor());
    untold_screen_.reset();
    if (!told && wire::is_away(told.error()))
        untold_screen_ = screen;
    if (!told)
        base::log(base::Level::notice, "telling vigild of the screen: " + told.error().text());
}

bool Prompt::takes(std::string_view factor) const {
    return std::ranges::find(info_.factors, factor) != info_.factors.end();
}

Prompt::Next Prompt::judge() {
    const base::Secret answer = keys_.take();
    if (refresh() == Next::leave)
        return Next::leave;
    if (info_.wait_seconds > 0)
        return count_down(info_.wait_seconds, "");
    // It can have changed since it was drawn: another process may hold the terminal now.
    if (!takes("password") && !(takes("totp") && wire::is_code(answer.view()))) {
        message_ = info_.factors.empty() ? "" : "Only a code, of 6 or 8 digits, is taken here.";
        return Next::go_on;
    }
    message_ = "Checking ...";
    draw(false);
    pam_.user = info_.user;
    const auto outcome = base::ask_pam(pam_, answer, wire::factor_variable);
    const std::string factor = outcome.note == "totp" ? "totp" : "password";
    message_.clear();
    if (!outcome.accepted)
        return report_no(outcome.text);
    if (factor == "password" && !takes("password"))
        return report_no("Only a code is taken here.");
    return report_yes(factor);
}

/// The person has proved himself and does not type again because a daemon is being restarted.
Prompt::Next Prompt::report_yes(const std::string& factor) {
    const BootTime until = base::read_boot_time() + keep_yes;
    while (true) {
        if (await_quiet() == Next::leave)
            return Next::leave;
        // In this order: by it vigild gives the terminal back.
        if (untold_screen_)
            tell_screen(*untold_screen_);
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
        if (tty_.wait(retry_yes, Tty::For::hang_up) == Tty::Heard::hung_up)
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
    bool counting = false;
    while (true) {
        const auto left = std::chrono::ceil<Seconds>(end - base::read_boot_time());
        if (left.count() <= 0)
            break;
        message_ =
            lead + "Next try in " + seconds_text(static_cast<std::uint64_t>(left.count())) + ".";
        if (!plain_ || !counting)
            draw(false);
        counting = true;
        const auto tick = end - base::read_boot_time() - (left - Seconds{1});
        if (tty_.wait(tick, Tty::For::hang_up) == Tty::Heard::hung_up ||
            drop_input() == Next::leave)
            return Next::leave;
    }
    message_ = why;
    return Next::go_on;
}

View Prompt::view(bool asking) const {
    const Now now = base::read_clocks();
    return {.info = info_,
            .message = message_,
            .asking = asking,
            .lock_console = lock_console_,
            .now = now.wall,
            .utc_offset = now.utc_offset};
}

/// What a new size or the time have changed is drawn when a key comes: a clock that moves by itself
/// would wake each locked terminal once a minute, for nobody. The hour of the end, which stays
/// true, stands in front of the time that is left.
bool Prompt::is_outdated() const {
    if (tty_.size() != drawn_size_)
        return true;
    const Now now = base::read_clocks();
    return !plain_ && end_line(info_.ends_at, now.wall, now.utc_offset) != drawn_end_;
}

void Prompt::draw(bool asking) {
    tty_.silence();
    drawn_size_ = tty_.size();
    const View now = view(asking);
    drawn_end_ = end_line(info_.ends_at, now.now, now.utc_offset);
    if (plain_) {
        const auto text = draw_plain(now, drawn_size_, shown_);
        drawn_ = tty_.write(text) == text.size();
        if (!drawn_)
            shown_.clear();
        return;
    }
    const bool asks_screen = info_.ask_screen && !drew_;
    const std::string_view question = asks_screen ? screen_question : "";
    const std::string text = std::string{question} + terminal::draw(now, drawn_size_);
    const auto taken = tty_.write(text);
    drawn_ = taken == text.size();
    drew_ = drew_ || taken > question.size();
    if (asks_screen && taken >= question.size())
        asked_screen_ = base::read_boot_time();
}

} // namespace vigil::terminal
