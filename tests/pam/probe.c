/* Two jobs in the tests' stacks. After the module's line, with the argument `mark`, it is reached
 * only when the module said PAM_IGNORE, and shows that. Alone, it stands where pam_systemd would,
 * and shows what pam_systemd would find. */
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdio.h>
#include <string.h>

static int mark(int argc, const char** argv) {
    return argc == 1 && strcmp(argv[0], "mark") == 0;
}

int pam_sm_authenticate(pam_handle_t* pam, int flags, int argc, const char** argv) {
    (void)pam, (void)flags;
    return mark(argc, argv) ? PAM_AUTHTOK_EXPIRED : PAM_SUCCESS;
}

int pam_sm_setcred(pam_handle_t* pam, int flags, int argc, const char** argv) {
    (void)pam, (void)flags, (void)argc, (void)argv;
    return PAM_SUCCESS;
}

int pam_sm_acct_mgmt(pam_handle_t* pam, int flags, int argc, const char** argv) {
    (void)pam, (void)flags;
    return mark(argc, argv) ? PAM_AUTHTOK_EXPIRED : PAM_SUCCESS;
}

int pam_sm_open_session(pam_handle_t* pam, int flags, int argc, const char** argv) {
    const void* limit = NULL;
    char text[128];

    (void)flags;
    if (mark(argc, argv))
        return pam_putenv(pam, "TEST_IGNORED=1");
    if (pam_get_data(pam, "systemd.runtime_max_sec", &limit) != PAM_SUCCESS || !limit)
        return PAM_SUCCESS;
    snprintf(text, sizeof text, "TEST_RUNTIME_MAX_SEC=%s", (const char*)limit);
    return pam_putenv(pam, text);
}

int pam_sm_close_session(pam_handle_t* pam, int flags, int argc, const char** argv) {
    (void)flags;
    return mark(argc, argv) ? pam_putenv(pam, "TEST_IGNORED=1") : PAM_SUCCESS;
}
