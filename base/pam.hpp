#pragma once
// Owner for a PAM transaction that we began (pam_start(3)). Header only: base itself does not link
// libpam; who includes this does.

#include <security/pam_appl.h>

namespace vigil::base {

/// pam_end(3) wants the last call's result: modules look at it when they clean up.
class PamTransaction {
public:
    PamTransaction() noexcept = default;
    PamTransaction(const PamTransaction&) = delete;
    PamTransaction& operator=(const PamTransaction&) = delete;
    ~PamTransaction() {
        if (handle_ != nullptr)
            pam_end(handle_, last_);
    }

    /// Where pam_start(3) puts the handle.
    pam_handle_t** out() noexcept { return &handle_; }
    pam_handle_t* get() const noexcept { return handle_; }

    /// Notes the result of a call and gives it back.
    int noted(int result) noexcept { return last_ = result; }
    int last() const noexcept { return last_; }

private:
    pam_handle_t* handle_ = nullptr;
    int last_ = PAM_ABORT;
};

} // namespace vigil::base
