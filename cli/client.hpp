#pragma once
// vigild, as vigilctl asks it: by the system bus, and for root by the direct socket when the broker
// or vigild's name on it is away. Each call is a connection of its own: people think in between.

#include "base/error.hpp"
#include "base/systemd.hpp"
#include "base/time.hpp"
#include "wire/messages.hpp"

#include <initializer_list>
#include <optional>

namespace vigil::cli {

/// Errors: `what` is the whole line for the person; exit_status() knows the rest.
class Client {
public:
    /// `socket`: this one and no bus; "" for the usual way.
    explicit Client(std::string socket) : socket_{std::move(socket)} {}
    /// Waits so long for an answer and not as long as vigild may take to be started.
    Client(std::string socket, Microseconds patience)
        : socket_{std::move(socket)}, patience_{patience} {}

    Result<std::vector<wire::Session>> list() const;
    Result<wire::Session> show(const std::string& id) const;
    /// `method`: Lock, Unlock or Terminate.
    Result<> act(const char* method, const std::string& id, const std::string& reason) const;
    /// Returns when all is locked that is to be before the machine sleeps. For root.
    Result<> lock_for_sleep() const;
    Result<wire::Status> status() const;
    /// What vigild can do here. For root.
    Result<> rehearse(Seconds lasts) const;
    /// `until`: as the status has it; 0: none runs.
    Result<> confirm_rehearsal(std::uint64_t until) const;
    Result<std::vector<wire::Finding>> examine() const;
    Result<std::vector<wire::Grant>> grants() const;
    /// Everybody's: root's to see, and polkit may have a password asked for.
    Result<std::vector<wire::Grant>> all_grants() const;
    /// One of somebody else's: as all_grants().
    Result<> revoke(const std::string& grant) const;
    /// `lasts`: zero for no end. For root, as the next two.
    Result<> block(const std::string& user, const std::string& reason, Seconds lasts) const;
    Result<> unblock(const std::string& user) const;
    Result<std::vector<wire::Block>> blocks() const;
    Result<std::vector<wire::Request>> requests() const;
    /// As it was shown: with its digest.
    Result<> approve(const wire::Request& request) const;
    Result<> deny(const wire::Request& request, const std::string& reason) const;
    /// The policy's error, "" if it was loaded.
    Result<std::string> reload() const;

    Result<wire::Enrollment> enroll_totp(const std::string& user, const std::string& name,
                                         const std::string& code, const std::string& kind) const;
    Result<wire::RecoveryCodes> renew_recovery(const std::string& user,
                                               const std::string& code) const;
    /// `proof`, and `code` above: a code, a recovery code, a ticket, or wire::text_of() what a key
    /// has signed. "": vigild has polkit ask for a password, where that does.
    Result<wire::KeyEnrollment> enroll_key(const std::string& user, const std::string& name,
                                           const std::string& proof) const;
    Result<> enroll_key_finish(const std::string& factor, const std::string& key,
                               const std::string& signature) const;
    Result<wire::KeyChallenge> key_challenge(const std::string& user) const;
    Result<> enroll_finish(const std::string& factor, const std::string& code) const;
    Result<std::vector<wire::Factor>> factors(const std::string& user) const;
    /// `proof`: of another one than the last, as above.
    Result<> forget(const std::string& factor, const std::string& proof) const;
    /// As it is shown.
    Result<std::string> make_ticket(const std::string& user, Seconds lasts) const;
    /// The credential that what is sealed opens with. For root.
    Result<std::string> factors_key() const;
    /// `key`: a file of memfd_create(2). By the direct socket alone: no broker has a part in it.
    /// What was done, in a line.
    Result<std::string> rekey(int key, const std::string& name) const;

private:
    using Arguments = std::initializer_list<const std::string*>;
    /// `number`: behind the texts.
    Result<base::BusMessage> call(const char* method, Arguments arguments, Microseconds wait,
                                  std::optional<std::uint64_t> number = {}) const;
    template <typename T>
    Result<T> get(const char* method, Arguments arguments) const;
    template <typename T>
    Result<T> get(const char* method, Arguments arguments, Microseconds wait) const;
    Result<> tell(const char* method, Arguments arguments, Microseconds wait) const;

    std::string socket_;
    Microseconds patience_ =
        Seconds{5}; ///< long enough for it to be started by its name on the bus
};

inline constexpr int exit_refused = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_away = 3;
inline constexpr int exit_warning = 4; ///< doctor: nothing failed, but not all is well

int exit_status(const Error& error) noexcept;

/// Prints the line to stderr, returns the exit status.
int complain(const Error& error);

} // namespace vigil::cli
