#pragma once
// What happened, as structured journal entries: one MESSAGE_ID a kind (systemd.journal-fields(7),
// `journalctl -t vigild MESSAGE_ID=…`), and VIGIL_SESSION, VIGIL_EVENT, VIGIL_USER, VIGIL_RULE.

#include "daemon/core/effect.hpp"

namespace vigil::audit {

/// The kind's name as in VIGIL_EVENT: "session-locked".
const char* name_of(core::AuditKind kind) noexcept;
const char* message_id_of(core::AuditKind kind) noexcept;

void write_journal(const core::Audit& record) noexcept;

} // namespace vigil::audit
