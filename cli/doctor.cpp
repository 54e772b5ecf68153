// doctor: what vigilctl sees by itself, then what vigild says, then the sessions.

#include "base/clock.hpp"
#include "cli/client.hpp"
#include "cli/commands.hpp"
#include "cli/host_checks.hpp"
#include "rescue/thaw.hpp"
#include "wire/errors.hpp"
#include "wire/names.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <system_error>

#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace vigil::cli {

namespace {

/// A vigild that is silent costs this once.
constexpr Microseconds doctor_patience = wire::machine_timeout;
/// What is told of a lock is looked for anew, session by session.
constexpr std::size_t most_locks_looked_at = 100;
constexpr Microseconds locks_patience = Seconds{5};

/// Checks of vigild's own, for when it cannot be asked.
constexpr const char* vigilds_checks = "vigild's own";
constexpr const char* sessions_check = "sessions";
constexpr const char* vigild_check = "vigild";
/// wire/observing.hpp; the second comes back as the first at a boot.
constexpr std::array observing_marks{"/run/vigil/observing", "/var/lib/vigil/observing"};

class Doctor {
public:
    explicit Doctor(const Context& context)
        : socket_{context.socket}, client_{context.socket, doctor_patience} {}

    std::vector<Finding> run() {
        findings_ = check_host();
        if (look_at_vigild()) {
            ask_vigild();
            look_at_sessions();
        } else {
            for (const char* check : {vigilds_checks, sessions_check})
                add(not_looked_at(check, "vigild gave no answer"));
        }
        return std::move(findings_);
    }

private:
    void add(Finding finding) { findings_.push_back(std::move(finding)); }

    /// Whether it answers. Asking would start one that does not run, and it is not the doctor's to
    /// change what he looks at.
    bool look_at_vigild() {
        if (socket_.empty() && !runs())
            return false;
        const auto status = client_.status();
        if (!status) {
            const auto& error = status.error();
            add({vigild_check, Grade::failure,
                 wire::is_away(error)
                     ? "it runs and does not answer: " + std::generic_category().message(error.code)
                     : error.what,
                 "systemctl kill -s KILL vigild: PID 1 starts it anew, what is locked stays so"});
            return false;
        }
        add(finding_of_status(*status));
        return true;
    }

    bool runs() {
        const auto runs = rescue::vigild_runs();
        if (!runs)
            add(not_looked_at(vigild_check, "whether it runs: " + runs.error().text(),
                              "vigilctl status, which starts it where it does not run"));
        else if (!*runs)
            add({vigild_check, Grade::failure, "it does not run: nothing is locked or ended",
                 "systemctl start vigild"});
        return runs.value_or(false);
    }

    static Finding finding_of_status(const wire::Status& status) {
        const auto name = "vigild " + status.version + " answers";
        if (!status.policy_error.empty())
            return {vigild_check, Grade::failure, name + ", but: policy: " + status.policy_error,
                    "vigilctl policy check"};
        for (const auto* error : {&status.store_error, &status.factors_error})
            if (!error->empty())
                return {vigild_check, Grade::failure, name + ", but: " + *error,
                        "vigilctl status; journalctl -u vigild"};
        if (status.mode != "enforce")
            return {vigild_check, Grade::warning, name + " and only observes: nothing is locked",
                    "vigilctl rehearse --for 10m, then vigilctl enforce from a new login"};
        for (const char* const mark : observing_marks)
            if (struct stat node{}; status.rehearsed_until == 0 && ::lstat(mark, &node) == 0)
                return {vigild_check, Grade::failure,
                        name + " and enforces, but " + mark +
                            " is there: while vigild is away nobody would be refused",
                        std::string{"rm "} + mark};
        return {vigild_check, Grade::ok, name + " and enforces"};
    }

    void ask_vigild() {
        if (geteuid() != 0)
            return add(
                not_looked_at(vigilds_checks, "vigild tells root alone", "sudo vigilctl doctor"));
        const auto answer = client_.examine();
        if (!answer)
            return add(not_looked_at(vigilds_checks, answer.error().what));
        std::ranges::transform(*answer, std::back_inserter(findings_),
                               [](const wire::Finding& finding) { return finding_of(finding); });
    }

    void look_at_sessions() {
        const auto listed = client_.list();
        if (!listed)
            return add(not_looked_at(sessions_check, listed.error().what));
        const auto locked =
            static_cast<std::size_t>(std::ranges::count(*listed, "locked", &wire::Session::state));
        look_at_each(*listed);
        const std::string whose = geteuid() == 0 ? "" : " of yours";
        add({sessions_check, Grade::ok,
             std::to_string(listed->size()) + " open" + whose + ", " + std::to_string(locked) +
                 " locked"});
    }

    /// Each lock is looked at anew, as long as there is time; what was left out is counted.
    void look_at_each(const std::vector<wire::Session>& listed) {
        const auto until = base::read_boot_time() + locks_patience;
        std::size_t looks = 0;
        std::size_t left = 0;
        for (const auto& session : listed) {
            if (session.state != "locked")
                add_session(session);
            else if (++looks > most_locks_looked_at || base::read_boot_time() >= until)
                ++left;
            else
                look_at_lock(session);
        }
        if (left > 0)
            add(not_looked_at(sessions_check, std::to_string(left) + " more: too many at once",
                              "vigilctl show ID"));
    }

    /// One that has ended meanwhile leaves nothing free.
    void look_at_lock(const wire::Session& listed) {
        const auto session = client_.show(listed.id);
        if (session)
            return add_session(*session);
        const auto& error = session.error();
        if (error.code == wire::code_not_found || error.code == wire::code_denied)
            return;
        const auto id = listed.id.substr(0, 8);
        auto finding = not_looked_at("session", id + " of " + listed.user + ": " + error.what,
                                     "vigilctl show " + id);
        finding.session = listed.id;
        add(std::move(finding));
    }

    void add_session(const wire::Session& session) {
        if (auto finding = finding_of(session))
            add(*std::move(finding));
    }

    std::string socket_;
    Client client_;
    std::vector<Finding> findings_;
};

int status_of(Grade grade) noexcept {
    switch (grade) {
    case Grade::ok:
        return 0;
    case Grade::warning:
        return exit_warning;
    case Grade::failure:
        return exit_refused;
    }
    return exit_refused;
}

} // namespace

std::vector<Finding> findings_of_host(const Context& context) {
    return Doctor{context}.run();
}

int doctor(const Context& context, bool json) {
    const auto findings = findings_of_host(context);
    const auto text = json ? json_text(to_json(findings)) : findings_text(findings, context.look);
    std::fputs(text.c_str(), stdout);
    return status_of(worst(findings));
}

} // namespace vigil::cli
