// What the audit says of a record: its kind, its fields, and nothing that a terminal would obey.

#include "base/unique_fd.hpp"
#include "daemon/audit/journal.hpp"
#include "tests/unit/test.hpp"

#include <algorithm>
#include <set>

#include <fcntl.h>
#include <unistd.h>

using namespace vigil;
using core::Audit;
using core::AuditKind;

namespace {

constexpr std::size_t kind_count = static_cast<std::size_t>(AuditKind::rehearsal_over) + 1;

/// What the record comes to on stderr, where there is no journal: the text, then each field.
std::string written(const Audit& record) {
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
    const base::UniqueFd reader{ends[0]};
    const base::UniqueFd saved{dup(STDERR_FILENO)};
    ck_assert(saved);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    audit::write_journal(record);
    dup2(saved.get(), STDERR_FILENO);
    std::string out(65536, '\0');
    const ssize_t size = read(reader.get(), out.data(), out.size());
    ck_assert_int_gt(size, 0);
    out.resize(static_cast<std::size_t>(size));
    return out;
}

core::SessionId some_session() {
    const auto id = core::SessionId::from_text("0123456789abcdef0123456789abcdef");
    ck_assert(id.has_value());
    return *id;
}

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != text.npos;
}

START_TEST(every_kind_has_a_name_and_an_id_of_its_own) {
    std::set<std::string> names;
    std::set<std::string> ids;
    for (std::size_t i = 0; i < kind_count; ++i) {
        const auto kind = static_cast<AuditKind>(i);
        const std::string id{audit::message_id_of(kind)};
        ck_assert_uint_eq(id.size(), 32);
        ck_assert(id.find_first_not_of("0123456789abcdef") == id.npos);
        names.insert(audit::name_of(kind));
        ids.insert(id);
    }
    ck_assert_uint_eq(names.size(), kind_count);
    ck_assert_uint_eq(ids.size(), kind_count);
    CHECK_TEXT(audit::name_of(AuditKind::lock_failed), "lock-failed");
}
END_TEST

START_TEST(every_kind_is_written_with_all_that_is_known) {
    for (std::size_t i = 0; i < kind_count; ++i) {
        const auto kind = static_cast<AuditKind>(i);
        const auto line = written({.kind = kind,
                                   .session = some_session(),
                                   .user = "alice",
                                   .uid = 1000,
                                   .service = "sshd",
                                   .rule = "everyone",
                                   .text = "it happened",
                                   .reason = "end of shift"});
        ck_assert(has(line, ": alice: it happened [01234567] "));
        ck_assert(has(line, " VIGIL_EVENT=" + std::string{audit::name_of(kind)} + " "));
        for (const char* field : {" VIGIL_SESSION=0123456789abcdef0123456789abcdef",
                                  " VIGIL_USER=alice", " VIGIL_UID=1000", " VIGIL_SERVICE=sshd",
                                  " VIGIL_RULE=everyone", " VIGIL_REASON=end of shift"})
            ck_assert_msg(has(line, field), "no%s in: %s", field, line.c_str());
    }
}
END_TEST

START_TEST(what_is_not_known_is_left_out) {
    const auto line = written({.kind = AuditKind::policy_loaded, .text = "3 rules"});
    ck_assert_msg(line.ends_with(": 3 rules VIGIL_EVENT=policy-loaded\n"), "%s", line.c_str());
    // root is known: 0 is a user's number, and not "nobody".
    ck_assert(has(written({.kind = AuditKind::session_opened, .uid = 0}), " VIGIL_UID=0\n"));
}
END_TEST

START_TEST(text_from_outside_is_one_escaped_line) {
    const std::string hostile = "a\x1b[2J\nVIGIL_USER=root\x9b\xff%n";
    const auto line = written({.kind = AuditKind::login_refused,
                               .user = hostile,
                               .service = hostile,
                               .rule = hostile,
                               .text = hostile,
                               .reason = hostile});
    ck_assert_int_eq(std::ranges::count(line, '\n'), 1);
    ck_assert(line.ends_with('\n'));
    for (const char c : line)
        ck_assert_msg(c == '\n' || (c >= 0x20 && c < 0x7f), "byte %d", c);
    ck_assert(has(line, " VIGIL_USER=a\\x1b[2J\\x0aVIGIL_USER=root\\x9b\\xff%n VIGIL_SERVICE="));
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("audit",
                            {every_kind_has_a_name_and_an_id_of_its_own,
                             every_kind_is_written_with_all_that_is_known,
                             what_is_not_known_is_left_out, text_from_outside_is_one_escaped_line});
}
