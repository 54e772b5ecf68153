#include "base/accounts.hpp"
#include "base/base32.hpp"
#include "base/console.hpp"
#include "base/hex.hpp"
#include "base/log.hpp"
#include "base/process.hpp"
#include "base/secret.hpp"
#include "tests/unit/test.hpp"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

using namespace vigil;
using namespace vigil::base;

namespace {

using namespace std::string_literals;

// ---- base32 and hex

START_TEST(base32_agrees_with_the_rfc) {
    static const struct {
        const char* plain;
        const char* encoded;
    } vectors[] = {{"", ""},
                   {"f", "MY"},
                   {"fo", "MZXQ"},
                   {"foo", "MZXW6"},
                   {"foob", "MZXW6YQ"},
                   {"fooba", "MZXW6YTB"},
                   {"foobar", "MZXW6YTBOI"}};
    for (const auto& vector : vectors) {
        CHECK_TEXT(base32_encode(vector.plain), vector.encoded);
        const auto decoded = base32_decode(vector.encoded);
        CHECK_OK(decoded);
        CHECK_TEXT(*decoded, vector.plain);
    }
}
END_TEST

START_TEST(base32_takes_lower_case_and_padding) {
    const auto decoded = base32_decode("mzxw6yq=");
    CHECK_OK(decoded);
    CHECK_TEXT(*decoded, "foob");
}
END_TEST

START_TEST(base32_refuses_what_no_bytes_encode_to) {
    for (const char* text : {"M", "MZX", "MZXW6Y", "MZ", "M1", "MY==MY", "M Y", "M\xc3\x9f"})
        CHECK_ERROR(base32_decode(text), EINVAL);
}
END_TEST

START_TEST(hex_goes_both_ways) {
    const std::string bytes = "\x00\x7f\x80\xff"s;
    CHECK_TEXT(hex_encode(bytes), "007f80ff");
    ck_assert(hex_decode("007f80FF") == bytes);
    ck_assert(!hex_decode("0"));
    ck_assert(!hex_decode("0g"));
    ck_assert(!hex_decode("-1"));
}
END_TEST

// ---- escape

START_TEST(printable_text_stays) {
    for (const char* text : {"", "plain", "%n %s \\ \"", "Grüße, 世界 🔒"})
        CHECK_TEXT(escape(text), text);
}
END_TEST

START_TEST(control_characters_are_written_out) {
    CHECK_TEXT(escape("a\x1b[2Jb\r\n\tc\x7f"), "a\\x1b[2Jb\\x0d\\x0a\\x09c\\x7f");
    CHECK_TEXT(escape("a\0b"s), "a\\x00b");
    CHECK_TEXT(escape("\xc2\x9b"
                      "2J"),
               "\\xc2\\x9b2J");                            // CSI as one C1 character
    CHECK_TEXT(escape("\xe2\x80\xae"), "\\xe2\\x80\\xae"); // right-to-left override
    CHECK_TEXT(escape("\xe2\x80\xa8"), "\\xe2\\x80\\xa8"); // line separator
}
END_TEST

START_TEST(bytes_that_are_not_utf8_are_written_out) {
    CHECK_TEXT(escape("\x9b"), "\\x9b");
    CHECK_TEXT(escape("\xff"
                      "a"),
               "\\xffa");
    CHECK_TEXT(escape("\xc0\x8a"), "\\xc0\\x8a");                   // overlong newline
    CHECK_TEXT(escape("\xe0\x80\x8a"), "\\xe0\\x80\\x8a");          // longer still
    CHECK_TEXT(escape("\xed\xa0\x80"), "\\xed\\xa0\\x80");          // surrogate
    CHECK_TEXT(escape("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"); // beyond U+10FFFF
    CHECK_TEXT(escape("\xe4\xb8"), "\\xe4\\xb8");                   // cut short
    CHECK_TEXT(escape("\xe4\x1b\xb8"), "\\xe4\\x1b\\xb8");          // an ESC inside
}
END_TEST

START_TEST(no_byte_pair_escapes_to_something_harmful) {
    for (unsigned first = 0; first < 256; ++first)
        for (unsigned second = 0; second < 256; ++second) {
            const std::string text{static_cast<char>(first), static_cast<char>(second)};
            const std::string out = escape(text);
            for (const char c : out)
                ck_assert(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
            CHECK_TEXT(escape(out), out);
        }
}
END_TEST

START_TEST(the_limit_cuts_between_characters) {
    ck_assert_uint_eq(escape(std::string(10'000, 'a'), 100).size(), 100);
    CHECK_TEXT(escape("aé", 2), "a");
    CHECK_TEXT(escape("a\n", 4), "a");
    CHECK_TEXT(escape("a", 0), "");
}
END_TEST

// ---- log

/// What `write` leaves on stderr.
template <typename Write>
std::string stderr_of(Write&& write) {
    int pipe_fds[2];
    ck_assert_int_eq(pipe(pipe_fds), 0);
    const UniqueFd reader{pipe_fds[0]};
    const UniqueFd saved{dup(STDERR_FILENO)};
    dup2(pipe_fds[1], STDERR_FILENO);
    close(pipe_fds[1]);
    write();
    dup2(saved.get(), STDERR_FILENO);
    std::string out(65536, '\0');
    fcntl(reader.get(), F_SETFL, O_NONBLOCK);
    const ssize_t size = read(reader.get(), out.data(), out.size());
    out.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return out;
}

START_TEST(a_log_entry_is_one_line_whatever_is_in_it) {
    const std::string line = stderr_of([] { log(Level::error, "a\nb\x1b%n"); });
    ck_assert(line.ends_with(": a\\x0ab\\x1b%n\n"));
    const std::string event = stderr_of([] {
        log_event(Level::info, "0123456789abcdef0123456789abcdef", "t\n",
                  {{.name = "USER", .value = "x\ny"}});
    });
    ck_assert(event.ends_with(": t\\x0a USER=x\\x0ay\n"));
}
END_TEST

START_TEST(a_stale_journal_stream_is_not_believed) {
    setenv("JOURNAL_STREAM", "1:1", 1);
    ck_assert(!stderr_of([] { log(Level::error, "seen"); }).empty());
}
END_TEST

START_TEST(the_level_holds) {
    set_log_level(Level::warning);
    CHECK_TEXT(stderr_of([] { log(Level::notice, "quiet"); }), "");
    ck_assert(!stderr_of([] { log(Level::warning, "loud"); }).empty());
}
END_TEST

// ---- processes

const std::string stat_tail =
    " S 10 20 30 34817 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654321 0 0\n";

START_TEST(stat_is_parsed_to_the_last_parenthesis) {
    const auto stat = parse_process_stat("42 (a) R 1 (" + (")" + stat_tail));
    CHECK_OK(stat);
    CHECK_TEXT(stat->command, "a) R 1 (");
    ck_assert_int_eq(stat->pid, 42);
    ck_assert_int_eq(stat->state, 'S');
    ck_assert_int_eq(stat->parent, 10);
    ck_assert_int_eq(stat->group, 20);
    ck_assert_int_eq(stat->session, 30);
    ck_assert_uint_eq(stat->terminal, 34817);
    ck_assert_int_eq(stat->foreground, -1);
    ck_assert_uint_eq(stat->start_time, 987654321);
}
END_TEST

START_TEST(stat_takes_any_command) {
    for (const std::string& command : {""s, " "s, ")"s, "(("s, "a\nb"s, "\xff\x1b"s}) {
        const auto stat = parse_process_stat("1 (" + command + ")" + stat_tail);
        CHECK_OK(stat);
        CHECK_TEXT(stat->command, command);
    }
}
END_TEST

START_TEST(a_high_terminal_number_is_printed_negative) {
    const auto stat =
        parse_process_stat("1 (a) S 1 1 1 -2147448576 1 0 0 0 0 0 0 0 0 0 0 0 0 0 7 0\n");
    CHECK_OK(stat);
    ck_assert_uint_eq(stat->terminal, 0x80008900u);
}
END_TEST

START_TEST(a_broken_stat_is_refused) {
    for (const std::string& text :
         {""s, "1"s, "1 (a"s, "1 a)"s, ") (1"s, "x (a)" + stat_tail, "1 (a) S 1 1"s,
          "1 (a) SS 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 0 0 0 0 7 0\n"s,
          "1 (a) S x 1 1 0 -1 0 0 0 0 0 0 0 0 0 0 0 0 0 7 0\n"s,
          "1 (a) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 0 0 0 0 -7 0\n"s,
          "1 (a) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 0 0 0 0 99999999999999999999999 0\n"s,
          "1 (a)S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 0 0 0 0 7 0\n"s})
        CHECK_ERROR(parse_process_stat(text), EBADMSG);
}
END_TEST

START_TEST(one_knows_oneself) {
    prctl(PR_SET_NAME, "a) R 1 (");
    const auto stat = read_process_stat(getpid());
    CHECK_OK(stat);
    CHECK_TEXT(stat->command, "a) R 1 (");
    ck_assert_int_eq(stat->parent, getppid());
    ck_assert_int_eq(stat->session, getsid(0));
    const auto uid = read_real_uid(getpid());
    CHECK_OK(uid);
    ck_assert_uint_eq(*uid, getuid());
}
END_TEST

START_TEST(a_name_like_a_uid_line_does_not_lie) {
    prctl(PR_SET_NAME, "\nUid:\t4242");
    const auto uid = read_real_uid(getpid());
    CHECK_OK(uid);
    ck_assert_uint_eq(*uid, getuid());
}
END_TEST

START_TEST(a_pidfd_names_its_process_until_it_is_reaped) {
    const pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    const auto stat = read_process_stat(child);
    CHECK_OK(stat);
    const Process process{.pid = child, .start_time = stat->start_time};
    const auto fd = open_pidfd(process);
    CHECK_OK(fd);
    ck_assert(fcntl(fd->get(), F_GETFD) & FD_CLOEXEC);
    const auto named = process_of_pidfd(fd->get());
    CHECK_OK(named);
    ck_assert(*named == process);
    CHECK_ERROR(open_pidfd(Process{.pid = child, .start_time = stat->start_time + 1}), ESRCH);

    ck_assert(!has_ended(fd->get()));

    kill(child, SIGKILL);
    siginfo_t info{};
    waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
    ck_assert(has_ended(fd->get())); // though it is there still, for its parent
    waitpid(child, nullptr, 0);
    ck_assert(has_ended(fd->get()));
    CHECK_ERROR(process_of_pidfd(fd->get()), ESRCH);
    CHECK_ERROR(open_pidfd(process), ESRCH);
    CHECK_ERROR(open_pidfd(child), ESRCH);
    CHECK_ERROR(read_process_stat(child), ESRCH);
    CHECK_ERROR(read_real_uid(child), ESRCH);
    CHECK_ERROR(read_login_uid(child), ESRCH);
}
END_TEST

START_TEST(a_process_is_alive_until_it_has_ended) {
    const pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    const Process process{.pid = child, .start_time = read_process_stat(child)->start_time};
    ck_assert(is_alive(process));
    ck_assert(!is_alive({.pid = child, .start_time = process.start_time + 1}));
    const auto fd = open_pidfd(process);
    ck_assert(send_signal(fd->get(), SIGKILL).has_value());
    siginfo_t ended{};
    ck_assert_int_eq(waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT), 0);
    ck_assert(!is_alive(process)); // a zombie
    ck_assert_int_eq(waitpid(child, nullptr, 0), child);
    ck_assert(!is_alive(process));
    CHECK_ERROR(send_signal(fd->get(), SIGTERM), ESRCH);
}
END_TEST

START_TEST(a_console_is_told_by_its_device) {
    for (const dev_t device :
         {makedev(4, 1), makedev(4, 63), makedev(4, 64), makedev(204, 64), makedev(229, 0)})
        ck_assert(is_console(device));
    for (const dev_t device :
         {dev_t{0}, makedev(4, 0), makedev(5, 0), makedev(136, 4), makedev(188, 0)})
        ck_assert(!is_console(device));
}
END_TEST

START_TEST(a_virtual_console_is_told_by_its_device_and_its_name) {
    ck_assert_uint_eq(virtual_console(makedev(4, 1)), 1);
    ck_assert_uint_eq(virtual_console(makedev(4, 63)), 63);
    ck_assert_uint_eq(virtual_console(makedev(4, 0)), 0);  // whichever is in front
    ck_assert_uint_eq(virtual_console(makedev(4, 64)), 0); // ttyS0
    ck_assert_uint_eq(virtual_console(makedev(136, 1)), 0);
    ck_assert_uint_eq(virtual_console(virtual_console_device(13)), 13);
    ck_assert_uint_eq(virtual_console("/dev/tty13"), 13);
    ck_assert_uint_eq(virtual_console("tty13"), 13);
    for (const char* other : {"/dev/tty", "/dev/tty64", "ttyS0", "tty1x", "pts/1", "/dev/13", ""})
        ck_assert_uint_eq(virtual_console(std::string_view{other}), 0);
}
END_TEST

START_TEST(a_terminal_is_called_as_under_dev) {
    static const struct {
        dev_t device;
        const char* name;
    } terminals[] = {{makedev(136, 0), "pts/0"},
                     {makedev(136, 255), "pts/255"},
                     {makedev(136, 256), "pts/256"},
                     {makedev(136, 1048575), "pts/1048575"}, // a minor has 20 bits
                     {makedev(4, 0), "tty0"},
                     {makedev(4, 1), "tty1"},
                     {makedev(4, 63), "tty63"},
                     {makedev(4, 64), "ttyS0"},
                     {makedev(4, 65), "ttyS1"},
                     {makedev(5, 1), "5:1"}, // /dev/console: whichever it is
                     {makedev(204, 64), "204:64"},
                     {makedev(229, 0), "229:0"},
                     {dev_t{0}, "0:0"}};
    for (const auto& terminal : terminals)
        CHECK_TEXT(terminal_name(terminal.device), terminal.name);
    for (unsigned number = 1; number <= 63; ++number)
        ck_assert_uint_eq(virtual_console(terminal_name(virtual_console_device(number))), number);
}
END_TEST

/// No file can be opened while it lives.
class NoDescriptors {
public:
    NoDescriptors() {
        getrlimit(RLIMIT_NOFILE, &before_);
        const rlimit none{.rlim_cur = 0, .rlim_max = before_.rlim_max};
        setrlimit(RLIMIT_NOFILE, &none);
    }
    NoDescriptors(const NoDescriptors&) = delete;
    NoDescriptors& operator=(const NoDescriptors&) = delete;
    ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

START_TEST(an_account_that_is_not_there_and_one_that_cannot_be_looked_up_differ) {
    // Not root, whom nss-systemd has without a file.
    const auto daemon = find_account("daemon");
    CHECK_OK(daemon);
    ck_assert(*daemon && (*daemon)->uid == 1 && (*daemon)->group == 1);
    ck_assert(*find_account(uid_t{1}) == *daemon);
    CHECK_OK(group_names("daemon", 1, 16));
    ck_assert(std::ranges::count(*group_names("daemon", 1, 16), "daemon") == 1);
    CHECK_ERROR(group_names("daemon", 1, 0), E2BIG);
    const auto nobody = find_account("no-such-user");
    CHECK_OK(nobody);
    ck_assert(!*nobody);
    const NoDescriptors none;
    CHECK_ERROR(find_account("daemon"), EMFILE);
    CHECK_ERROR(find_account(uid_t{1}), EMFILE);
    CHECK_ERROR(group_names("daemon", 1, 16), EMFILE);
}
END_TEST

START_TEST(no_process_has_a_number_below_one) {
    for (const pid_t pid : {0, -1}) {
        CHECK_ERROR(open_pidfd(pid), ESRCH);
        CHECK_ERROR(read_process_stat(pid), ESRCH);
    }
}
END_TEST

START_TEST(another_descriptor_is_no_pidfd) {
    const UniqueFd fd{open("/dev/null", O_RDONLY | O_CLOEXEC)};
    CHECK_ERROR(process_of_pidfd(fd.get()), EBADF);
    CHECK_ERROR(process_of_pidfd(-1), EBADF);
    CHECK_ERROR(process_of_pidfd(999), EBADF);
}
END_TEST

START_TEST(a_small_file_has_a_bound) {
    CHECK_ERROR(read_small_file("/proc/self/stat", 3), EFBIG);
    CHECK_ERROR(read_small_file("/nonexistent"), ENOENT);
    CHECK_ERROR(read_small_file("/dev/zero"), EFBIG);
    const auto empty = read_small_file("/dev/null", 0);
    CHECK_OK(empty);
    CHECK_TEXT(*empty, "");
}
END_TEST

// ---- secrets

START_TEST(a_secret_that_moved_is_gone_from_where_it_was) {
    Secret from{"hunter2"s};
    const char* const there = from.view().data();
    const Secret to{std::move(from)};
    CHECK_TEXT(to.view(), "hunter2");
    ck_assert(from.empty());
    for (int i = 0; i < 7; ++i)
        ck_assert_int_eq(there[i], 0);
}
END_TEST

} // namespace

int main() {
    return vigil::test::run("base",
                            {base32_agrees_with_the_rfc,
                             base32_takes_lower_case_and_padding,
                             base32_refuses_what_no_bytes_encode_to,
                             hex_goes_both_ways,
                             printable_text_stays,
                             control_characters_are_written_out,
                             bytes_that_are_not_utf8_are_written_out,
                             no_byte_pair_escapes_to_something_harmful,
                             the_limit_cuts_between_characters,
                             a_log_entry_is_one_line_whatever_is_in_it,
                             a_stale_journal_stream_is_not_believed,
                             the_level_holds,
                             stat_is_parsed_to_the_last_parenthesis,
                             stat_takes_any_command,
                             a_high_terminal_number_is_printed_negative,
                             a_broken_stat_is_refused,
                             one_knows_oneself,
                             a_name_like_a_uid_line_does_not_lie,
                             a_pidfd_names_its_process_until_it_is_reaped,
                             a_process_is_alive_until_it_has_ended,
                             a_console_is_told_by_its_device,
                             a_virtual_console_is_told_by_its_device_and_its_name,
                             a_terminal_is_called_as_under_dev,
                             an_account_that_is_not_there_and_one_that_cannot_be_looked_up_differ,
                             no_process_has_a_number_below_one,
                             another_descriptor_is_no_pidfd,
                             a_small_file_has_a_bound,
                             a_secret_that_moved_is_gone_from_where_it_was});
}
