// The codec over real connections: what is not written, and what is not read.

#include "tests/unit/wire_support.hpp"

#include <cerrno>
#include <functional>

using namespace vigil;
using namespace vigil::test;

namespace {

START_TEST(what_an_asker_may_not_send_is_not_written) {
    Pair pair;
    const struct {
        int code;
        std::function<void(Login&)> spoil;
    } cases[] = {
        {EMSGSIZE, [](Login& login) { login.user = std::string(max_user_bytes + 1, 'u'); }},
        {EMSGSIZE, [](Login& login) { login.service = std::string(max_service_bytes + 1, 's'); }},
        {EMSGSIZE, [](Login& login) { login.terminal = std::string(max_terminal_bytes + 1, 't'); }},
        {EMSGSIZE, [](Login& login) { login.remote_host = std::string(max_host_bytes + 1, 'h'); }},
        {EMSGSIZE, [](Login& login) { login.groups.assign(max_groups + 1, "g"); }},
        {EMSGSIZE, [](Login& login) { login.groups = {std::string(max_user_bytes + 1, 'g')}; }},
        {EINVAL, [](Login& login) { login.user = "root\0x"s; }},
        {EINVAL, [](Login& login) { login.remote_host = "\xff"; }},
    };
    for (const auto& one : cases) {
        Login login = some_login();
        one.spoil(login);
        const base::BusMessage message = pair.make();
        CHECK_ERROR(append(message.get(), login), one.code);
        const base::BusMessage request = pair.make();
        CHECK_ERROR(append(request.get(), StepUpRequest{.login = login}), one.code);
    }
    for (const auto& [command, code] :
         {std::pair{Command{.path = std::string(max_path_bytes + 1, 'p')}, EMSGSIZE},
          {Command{.named = "a\0b"s}, EINVAL},
          {Command{.arguments = std::vector<std::string>(max_arguments + 1)}, EMSGSIZE},
          {Command{.arguments = {std::string(max_arguments_bytes, 'a'), "b"}}, EMSGSIZE}}) {
        const base::BusMessage message = pair.make();
        CHECK_ERROR(append(message.get(), command), code);
    }
    const base::BusMessage proof = pair.make();
    CHECK_ERROR(append(proof.get(), Proof{.answer = std::string(max_answer_bytes + 1, '1')}),
                EMSGSIZE);
}
END_TEST

START_TEST(an_oversized_field_is_refused_by_the_reader) {
    Pair pair;
    const std::string u(max_user_bytes + 1, 'u'), s(max_service_bytes + 1, 's'),
        t(max_terminal_bytes + 1, 't'), h(max_host_bytes + 1, 'h');
    const struct {
        const char *user, *group, *service, *terminal, *host;
    } cases[] = {{u.c_str(), "g", "s", "t", "h"},
                 {"u", u.c_str(), "s", "t", "h"},
                 {"u", "g", s.c_str(), "t", "h"},
                 {"u", "g", "s", t.c_str(), "h"},
                 {"u", "g", "s", "t", h.c_str()}};
    for (const auto& one : cases) {
        const auto message =
            pair.raw("(suassss)", one.user, 1u, 1, one.group, one.service, one.terminal, one.host);
        CHECK_ERROR(read<Login>(message.get()), EBADMSG);
    }
    const base::BusMessage groups = pair.make();
    sd_bus_message_open_container(groups.get(), 'r', "suassss");
    sd_bus_message_append(groups.get(), "su", "u", 1u);
    sd_bus_message_open_container(groups.get(), 'a', "s");
    for (std::size_t i = 0; i <= max_groups; ++i)
        sd_bus_message_append(groups.get(), "s", "g");
    sd_bus_message_close_container(groups.get());
    sd_bus_message_append(groups.get(), "sss", "s", "t", "h");
    sd_bus_message_close_container(groups.get());
    const auto received = pair.send(groups);
    CHECK_ERROR(read<Login>(received.get()), EBADMSG);
}
END_TEST

template <typename... Values>
void check_none_reads(const base::BusMessage& message) {
    const auto refuses = [&](const auto& value) {
        CHECK_ERROR(value, EBADMSG);
        sd_bus_message_rewind(message.get(), 1);
    };
    (refuses(read<Values>(message.get())), ...);
    refuses(read_fd(message.get()));
}

START_TEST(another_signature_is_refused) {
    Pair pair;
    const auto check_nothing_reads = [](const base::BusMessage& message) {
        check_none_reads<Login, ReserveReply, StepUpRequest, AskReply, Proof, ProveReply, LockInfo,
                         Session, Status, Enrollment, std::vector<Session>,
                         std::vector<wire::Factor>>(message);
    };
    check_nothing_reads(pair.raw(""));
    check_nothing_reads(pair.raw("i", 1));
    check_nothing_reads(pair.raw("ss", "a", "b"));
    check_nothing_reads(pair.raw("(su)", "a", 1u));
    check_nothing_reads(pair.raw("a{ss}", 1, "user", "alice"));
    check_nothing_reads(pair.raw("u", 1u));
    CHECK_ERROR(read<std::string>(pair.raw("u", 1u).get()), EBADMSG);
    CHECK_ERROR(read<std::string>(pair.raw("").get()), EBADMSG);
    CHECK_ERROR(read<std::uint64_t>(pair.raw("u", 1u).get()), EBADMSG);
}
END_TEST

START_TEST(a_number_that_is_no_verdict_is_refused) {
    Pair pair;
    const std::uint64_t zero = 0;
    CHECK_ERROR(read<ReserveReply>(pair.raw("ust", 3u, "", zero).get()), EBADMSG);
    CHECK_ERROR(read<AskReply>(pair.raw("usasst", 4u, "", 0, "", zero).get()), EBADMSG);
    CHECK_ERROR(read<ProveReply>(pair.raw("usast", 4u, "", 0, zero).get()), EBADMSG);
    CHECK_ERROR(
        read<StepUpRequest>(pair.raw("u(suassss)s", 3u, "u", 1u, 0, "s", "t", "h", "root").get()),
        EBADMSG);
}
END_TEST

START_TEST(an_attempt_of_another_length_is_refused) {
    Pair pair;
    for (const int size : {0, 15, 17}) {
        const base::BusMessage message = pair.make();
        const std::array<std::uint8_t, 17> bytes{};
        sd_bus_message_append(message.get(), "ss", "totp", "123456");
        sd_bus_message_append_array(message.get(), 'y', bytes.data(),
                                    static_cast<std::size_t>(size));
        CHECK_ERROR(read<Proof>(pair.send(message).get()), EBADMSG);
    }
}
END_TEST

START_TEST(a_known_key_of_another_type_is_refused) {
    Pair pair;
    CHECK_ERROR(read<Session>(pair.raw("a{sv}", 1, "uid", "s", "1000").get()), EBADMSG);
    CHECK_ERROR(read<Session>(pair.raw("a{sv}", 1, "user", "o", "/alice").get()), EBADMSG);
    CHECK_ERROR(read<Session>(pair.raw("a{sv}", 1, "terminals", "s", "pts/1").get()), EBADMSG);
    CHECK_ERROR(read<LockInfo>(pair.raw("a{sv}", 1, "locked", "u", 0u).get()), EBADMSG);
    CHECK_ERROR(read<Status>(pair.raw("a{sv}", 1, "degraded", "s", "no").get()), EBADMSG);
    const auto list = pair.raw("aa{sv}", 2, 0, 1, "uid", "s", "1000");
    CHECK_ERROR(read<std::vector<Session>>(list.get()), EBADMSG);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run(
        "wire_refused",
        {what_an_asker_may_not_send_is_not_written, an_oversized_field_is_refused_by_the_reader,
         another_signature_is_refused, a_number_that_is_no_verdict_is_refused,
         an_attempt_of_another_length_is_refused, a_known_key_of_another_type_is_refused});
}
