#include "base/interruption.hpp"

#include <sys/signalfd.h>

namespace vigil::base {

Interruption::Interruption() {
    sigset_t none;
    sigemptyset(&none);
    ::pthread_sigmask(SIG_BLOCK, &none, &before_);
    sigset_t watched = none;
    for (const int number : {SIGINT, SIGQUIT, SIGTERM, SIGHUP}) {
        struct sigaction action{};
        if (::sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_IGN &&
            sigismember(&before_, number) == 0)
            sigaddset(&watched, number);
    }
    fd_.reset(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
    if (fd_)
        ::pthread_sigmask(SIG_BLOCK, &watched, nullptr);
}

Interruption::~Interruption() {
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

} // namespace vigil::base
