// Logins that fail, one after another, each from an address of its own: what sshd(8) and login(1)
// ask of PAM, without the time that these take.
//
//   failing-logins COUNT SERVICE ANSWER [USER...]   of these users in turn; of nobody's names
//
// Says how many were let in.

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <security/pam_appl.h>

namespace {

int answer(int count, const pam_message** messages, pam_response** responses, void* text) noexcept {
    *responses = static_cast<pam_response*>(
        std::calloc(static_cast<std::size_t>(count), sizeof(pam_response)));
    if (*responses == nullptr)
        return PAM_BUF_ERR;
    for (int i = 0; i < count; ++i)
        if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF)
            (*responses)[i].resp = strdup(static_cast<const char*>(text));
    return PAM_SUCCESS;
}

/// libpam sleeps after a failure, as long as its modules ask for; who guesses hangs up instead.
void hang_up(int, unsigned, void*) noexcept {}

bool is_let_in(const std::string& service, const std::string& user, const std::string& host,
               std::string text) {
    const pam_conv conversation{answer, text.data()};
    pam_handle_t* pam = nullptr;
    if (pam_start(service.c_str(), user.c_str(), &conversation, &pam) != PAM_SUCCESS)
        throw std::runtime_error{"pam_start"};
    pam_set_item(pam, PAM_RHOST, host.c_str());
    pam_set_item(pam, PAM_TTY, "ssh");
    pam_set_item(pam, PAM_FAIL_DELAY, reinterpret_cast<const void*>(hang_up));
    int result = pam_authenticate(pam, 0);
    if (result == PAM_SUCCESS)
        result = pam_acct_mgmt(pam, 0);
    pam_end(pam, result);
    return result == PAM_SUCCESS;
}

} // namespace

int main(int argc, char** argv) try {
    if (argc < 4)
        throw std::runtime_error{"usage: failing-logins COUNT SERVICE ANSWER [USER...]"};
    const std::vector<std::string> users{argv + 4, argv + argc};
    std::mt19937 random{std::random_device{}()};
    int let_in = 0;
    const int count = std::atoi(argv[1]);
    for (int i = 0; i < count; ++i) {
        std::string host = "10";
        for (int part = 0; part < 3; ++part)
            host += "." + std::to_string(random() % 256);
        const std::string user = users.empty() ? "u" + std::to_string(random())
                                               : users[static_cast<std::size_t>(i) % users.size()];
        let_in += is_let_in(argv[2], user, host, argv[3]) ? 1 : 0;
    }
    std::cout << let_in << "\n";
} catch (const std::exception& error) {
    std::cerr << "failing-logins: " << error.what() << "\n";
    return EXIT_FAILURE;
}
