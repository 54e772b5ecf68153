#pragma once
// A program that uses PAM: the real libpam, the real module, a stack of its own and a conversation
// that does as the test says.

#include "tests/pam/fake_vigild.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include <security/pam_appl.h>

namespace vigil::test {

/// What comes out when the module said PAM_IGNORE; nothing else in these stacks says it.
inline constexpr int ignored = PAM_AUTHTOK_EXPIRED;

/// How the module stands in the stacks.
enum class Lines {
    one,
    prepare_first, ///< in session also with `prepare`, before what stands for pam_systemd
    auth_apart,    ///< `arguments` on the line of auth alone
};

class PamHost {
public:
    /// `arguments` come after `socket=`, on every line of the module.
    PamHost(const FakeVigild& vigild, const std::string& service, const std::string& user = "root",
            const std::string& arguments = "", Lines lines = Lines::one);
    PamHost(const PamHost&) = delete;
    PamHost& operator=(const PamHost&) = delete;
    ~PamHost();

    int authenticate(int flags = 0) { return pam_authenticate(handle_, flags); }
    int setcred() { return pam_setcred(handle_, PAM_ESTABLISH_CRED); }
    int account(int flags = 0) { return pam_acct_mgmt(handle_, flags); }
    int open() { return session(pam_open_session); }
    /// After an open() that was ignored libpam ignores what close_session says, too (it keeps the
    /// path through the stack): this says `ignored` then.
    int close() { return session(pam_close_session); }

    pam_handle_t* handle() noexcept { return handle_; }
    void set(int item, const char* text) { pam_set_item(handle_, item, text); }
    void set_conversation(int (*function)(int, const pam_message**, pam_response**, void*));

    /// Whether one of the lines shown to the user has `text` in it.
    bool was_told(const std::string& text) const;

    std::vector<std::string> answers; ///< given in turn; PAM_CONV_ERR when they are used up
    std::vector<std::string> prompts;
    std::vector<std::string> lines; ///< errors and infos
    std::function<void()> before_answer;

private:
    int session(int (*phase)(pam_handle_t*, int));
    static int converse(int count, const pam_message** messages, pam_response** responses,
                        void* data);

    std::string directory_;
    pam_handle_t* handle_ = nullptr;
    std::size_t next_ = 0;
};

/// How long `work` takes.
std::chrono::milliseconds time_of(const std::function<void()>& work);

} // namespace vigil::test
