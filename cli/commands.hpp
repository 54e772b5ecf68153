#pragma once
// What vigilctl's verbs do, a file a group; arguments.cpp makes the calls. Each prints, on stdout
// what was asked for and on stderr a line for what went wrong, and returns the exit status.

#include "cli/output.hpp"
#include "cli/sudo_conf.hpp"

#include <array>

namespace vigil::cli {

class Client;

struct Context {
    std::string socket; ///< --socket; "" for the usual way
    Look look;          ///< of stdout
    Now now;
};

// --- sessions.cpp --------------------------------------------------------------------------------

struct Selection {
    std::vector<std::string> ids;
    std::string user;
    bool all = false;
    std::string reason;
};

/// What is done to sessions.
struct Verb {
    const char* name;
    const char* method;
    const char* done; ///< "locked"
    const char* help;
    bool of_others;                ///< needs a reason, and never means one's own session by itself
    bool for_sleep;                ///< can be done to what the policy has locked for a sleep
    bool of_terminals;             ///< of several sessions, those without one are left as they are
    const char* refusal = nullptr; ///< whom vigild refuses: why, and what to do; null: vigild says
};

extern const std::array<Verb, 3> verbs;

int list(const Context& context, bool json);
int show(const Context& context, const std::string& id, bool json);
int act(const Context& context, const Verb& verb, const Selection& selection);
/// For vigil-sleep.service.
int lock_for_sleep(const Context& context);

// --- factors.cpp ---------------------------------------------------------------------------------

struct Enrolling {
    std::string user;
    std::string name = "authenticator";
    unsigned digits = 6;
    std::string hash = "sha1";
    bool by_ticket = false; ///< in place of what one has already
};

struct EnrollingKey {
    std::string user;
    std::string name; ///< "": vigild's choice, the fingerprint
    std::string key;  ///< which one, by its fingerprint; "": asked, if there are several
    bool json = false;
    bool by_ticket = false;
};

int enroll(const Context& context, const Enrolling& what);
int enroll_key(const Context& context, const EnrollingKey& what); // keys.cpp
/// `time`: how long it is good for, as in the policy ("1d").
int enroll_ticket(const Context& context, const std::string& user,
                  const std::string& time); // tickets.cpp
int recovery_codes(const Context& context, const std::string& user);
int factors(const Context& context, const std::string& user, bool json);
int forget(const Context& context, const std::string& id);

// --- rekey.cpp -----------------------------------------------------------------------------------

/// `with`: what the new key is sealed to, as of systemd-creds(1); "" for what the machine has.
int rekey(const Context& context, const std::string& with);

// --- grants.cpp ----------------------------------------------------------------------------------

/// `all`: other people's too, for operators.
int grants(const Context& context, bool all, bool json);
/// `ids`: by at least 4 digits; or all of this user's. Others' are operators' to revoke.
int revoke(const Context& context, const std::vector<std::string>& ids, const std::string& user);

// --- blocks.cpp ----------------------------------------------------------------------------------

struct Blocking {
    std::string user;
    std::string reason;
    std::string time; ///< as in the policy ("8h"); "": it has no end
};

int block(const Context& context, const Blocking& what);
int unblock(const Context& context, const std::string& user);

// --- requests.cpp --------------------------------------------------------------------------------

int requests(const Context& context, bool json);
/// `id`: by at least 4 digits. `sure`: nothing is shown and asked before.
int approve(const Context& context, const std::string& id, bool sure);
int deny(const Context& context, const std::string& id, const std::string& reason);

// --- sudo.cpp ------------------------------------------------------------------------------------

int enable_sudo(const Context& context, Unavailable unavailable);
int disable_sudo(const Context& context);
int sudo_status(const Context& context, bool json);

// --- policy.cpp, status.cpp, doctor.cpp, rescue.cpp ----------------------------------------------

/// No files: the policy in force.
int check_policy(const std::vector<std::string>& files, bool json);

/// A table or what is known of one thing; below it that none of it is enforced, where that is so.
void put_listing(const Client& client, const std::string& table);

int status(const Context& context, bool json);
int reload(const Context& context);
int doctor(const Context& context, bool json);

// --- modes.cpp -----------------------------------------------------------------------------------

/// `time`: as in the policy ("10m").
int rehearse(const Context& context, const std::string& time);
/// `anyway`: whatever the doctor says.
int enforce(const Context& context, bool anyway);

struct ThawChoice {
    bool all = false;
    bool force = false;
};

int thaw(const Context& context, const ThawChoice& choice);

} // namespace vigil::cli
