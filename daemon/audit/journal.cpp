#include "daemon/audit/journal.hpp"

#include "base/log.hpp"

#include <array>

namespace vigil::audit {

namespace {

struct Kind {
    core::AuditKind kind;
    base::Level level;
    const char* name;
    const char* message_id; ///< drawn once at random, never changed
};

using enum core::AuditKind;
using enum base::Level;

constexpr std::array kinds{
    Kind{login_reserved, info, "login-reserved", "811ea1d642b847809dde92d469f45206"},
    Kind{login_refused, notice, "login-refused", "ad7f629ca7204ccb8a4854205e2d921f"},
    Kind{login_let_in, alert, "login-let-in", "2812763e16a664c1741f655d8a6f36d8"},
    Kind{break_glass, alert, "break-glass", "74367e13f8cd49cb9a04dc4c31e94d4a"},
    Kind{session_opened, info, "session-opened", "fdeba7fb214c4704a5cb1161da644966"},
    Kind{session_adopted, info, "session-adopted", "5c31198f958a466191423bfa25b12470"},
    Kind{session_closed, info, "session-closed", "f077cd88a00e4dc4b1eeeb74a9fe83a6"},
    Kind{session_warned, info, "session-warned", "31e4a941258b4d52b0c0cac845fef23c"},
    Kind{session_locked, notice, "session-locked", "ce123ee6059b4377b19621c55092c9a4"},
    Kind{lock_failed, error, "lock-failed", "80a65d92c0df41f3bf6b0c55360c6967"},
    Kind{lock_gaps, notice, "lock-gaps", "a0fe3be1e1ff458f90072a0c61cf00b9"},
    Kind{terminals_closed, notice, "terminals-closed", "6d3ab5a55e224be29fa9d8efa31d6080"},
    Kind{session_unlocked, notice, "session-unlocked", "a027f58680ad4641a4c0a5417222e1d2"},
    Kind{unlock_failed, warning, "unlock-failed", "551c99df744e48b7a6f588df5b87cc1b"},
    Kind{session_ending, notice, "session-ending", "dc9bfa3bb9f54b0595b9a62556df37cc"},
    Kind{end_failed, error, "end-failed", "d6c21c2bb3054ceb91fc72502e42e28d"},
    Kind{elevated_opened, info, "elevated-opened", "f4c70539999245ea871ca211cc40c8d6"},
    Kind{elevated_warned, info, "elevated-warned", "f25a75c1216749339f563f678b757f6a"},
    Kind{elevated_ending, notice, "elevated-ending", "4adc2d01c56a4bd79b5ca67ab4e165d1"},
    Kind{elevated_over, info, "elevated-over", "8afb570f841944028311e7e62b69d61d"},
    Kind{step_up_asked, info, "step-up-asked", "29828ef77de14f5a8fb65357d24099cd"},
    Kind{step_up_granted, notice, "step-up-granted", "81d89197fa8e464ba718fb1cd2b1e2d0"},
    Kind{step_up_refused, warning, "step-up-refused", "fda922079b604385bacb18da7350853d"},
    Kind{codes_guessed, alert, "codes-guessed", "1ae4766aed404ab1aacb62e9acafaa3d"},
    Kind{approval_asked, notice, "approval-asked", "e82650c8d68c45d6a317eab1b66e5e58"},
    Kind{approval_answered, notice, "approval-answered", "7ce8761e487b485a9319bbd331729d07"},
    Kind{approval_lapsed, notice, "approval-lapsed", "f0123bf5dec248fea3d941ea30e3f218"},
    Kind{grant_revoked, info, "grant-revoked", "6af2106fe39a4690a2eced0324774c5c"},
    Kind{user_blocked, notice, "user-blocked", "0b8f099931ee49b0813e39ae0b18bd26"},
    Kind{user_unblocked, notice, "user-unblocked", "1f18cdd1b0b447a0a9a252bf0385cb0e"},
    Kind{block_expired, notice, "block-expired", "360451c9d7e447eebe513ca4d5cf3a4b"},
    Kind{factors_rekeyed, notice, "factors-rekeyed", "b0b3b06bf35845018ad16b5fac1f37d6"},
    Kind{factor_enrolled, notice, "factor-enrolled", "396afe608e024956b3ddcfcc42229ce9"},
    Kind{factor_forgotten, notice, "factor-forgotten", "7ddfb7bdd1784e248b45483151e6d2ec"},
    Kind{ticket_made, notice, "ticket-made", "54c8303083df4df8b3bb572c14f5c50c"},
    Kind{ticket_used, notice, "ticket-used", "8e4068bc340644bebd8a2546bdfa6a61"},
    Kind{ticket_lapsed, info, "ticket-lapsed", "e7be6047f9654d05abf7b8479a1ef90b"},
    Kind{key_copied, alert, "key-copied", "c1d32012b9904478b1f6bc0ed2de4a3c"},
    Kind{policy_loaded, notice, "policy-loaded", "5d1b1b04d5bd4cc5a965062b6f4f2688"},
    Kind{rehearsal_begun, notice, "rehearsal-begun", "905e4925708a4e3dad8785672651ee9b"},
    Kind{rehearsal_over, warning, "rehearsal-over", "5e886d29f2634d0a92c527c0d8eb69d1"},
};

constexpr bool in_order() {
    for (std::size_t i = 0; i < kinds.size(); ++i)
        if (static_cast<std::size_t>(kinds[i].kind) != i)
            return false;
    return true;
}
static_assert(in_order() && kinds.size() == static_cast<std::size_t>(rehearsal_over) + 1);

const Kind& of(core::AuditKind kind) noexcept {
    return kinds[static_cast<std::size_t>(kind)];
}

} // namespace

const char* name_of(core::AuditKind kind) noexcept {
    return of(kind).name;
}

const char* message_id_of(core::AuditKind kind) noexcept {
    return of(kind).message_id;
}

void write_journal(const core::Audit& record) noexcept {
    try {
        const auto& kind = of(record.kind);
        std::vector<base::LogField> fields{{"VIGIL_EVENT", kind.name}};
        const auto add = [&](std::string_view name, const std::string& value) {
            if (!value.empty())
                fields.push_back({name, value});
        };
        if (record.session)
            add("VIGIL_SESSION", record.session->text());
        add("VIGIL_USER", record.user);
        if (record.uid != UINT32_MAX)
            add("VIGIL_UID", std::to_string(record.uid));
        add("VIGIL_SERVICE", record.service);
        add("VIGIL_RULE", record.rule);
        add("VIGIL_REASON", record.reason);
        auto line = record.user.empty() ? record.text : record.user + ": " + record.text;
        if (record.session)
            line += " [" + record.session->text().substr(0, 8) + "]";
        base::log_event(kind.level, kind.message_id, line, fields);
    } catch (...) {
        base::log(base::Level::error, "no memory to write an audit line");
    }
}

} // namespace vigil::audit
