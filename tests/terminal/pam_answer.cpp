// A PAM module for tests of vigil-lock: auth asks once and takes `password=` or `code=` of its
// arguments, the latter as pam_vigil does; account refuses with `expired`.

#include <cstdlib>
#include <cstring>
#include <string_view>

#include <security/pam_ext.h>
#include <security/pam_modules.h>

#define PAM_ENTRY extern "C" __attribute__((visibility("default"))) int

PAM_ENTRY pam_sm_authenticate(pam_handle_t* pam, int, int argc, const char** argv) {
    char* typed = nullptr;
    if (pam_prompt(pam, PAM_PROMPT_ECHO_OFF, &typed, "%s", "Answer: ") != PAM_SUCCESS || !typed)
        return PAM_CONV_ERR;
    const std::string_view answer{typed};
    int result = PAM_AUTH_ERR;
    for (int i = 0; i < argc; ++i) {
        const std::string_view argument{argv[i]};
        if (argument.starts_with("password=") && argument.substr(9) == answer)
            result = PAM_SUCCESS;
        if (argument.starts_with("code=") && argument.substr(5) == answer) {
            pam_putenv(pam, "VIGIL_FACTOR=totp");
            result = PAM_SUCCESS;
        }
    }
    std::free(typed);
    return result;
}

PAM_ENTRY pam_sm_setcred(pam_handle_t*, int, int, const char**) {
    return PAM_SUCCESS;
}

PAM_ENTRY pam_sm_acct_mgmt(pam_handle_t* pam, int, int argc, const char** argv) {
    for (int i = 0; i < argc; ++i) {
        if (std::strcmp(argv[i], "expired") == 0) {
            pam_error(pam, "%s", "Your account has expired.");
            return PAM_ACCT_EXPIRED;
        }
    }
    return PAM_SUCCESS;
}
