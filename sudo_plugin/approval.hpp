#pragma once
// What sudo's approval plugin answers about one command.

#include "base/unique_fd.hpp"
#include "sudo_plugin/command.hpp"
#include "sudo_plugin/conversation.hpp"
#include "wire/step_up.hpp"

namespace vigil::sudo {

/// One run of sudo.
struct Run {
    Conversation conversation;
    std::string socket; ///< vigild's
    std::string user;   ///< who runs sudo
    uid_t uid = static_cast<uid_t>(-1);
    std::string directory;  ///< where
    std::string service;    ///< sudo's name in PAM: "sudo", and with -i "sudo-i"
    bool may_ask = true;    ///< not with -n
    bool lets_pass = false; ///< where vigild cannot be asked: `unavailable=allow`
};

enum class Answer {
    allowed,
    refused, ///< the user has been told why
};

Answer approve(const Run& run, const Told& told);

} // namespace vigil::sudo
