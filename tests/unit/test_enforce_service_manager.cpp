// ServiceManager against a PID 1 that answers, refuses, hangs up or is silent.

#include "base/clock.hpp"
#include "base/unique_fd.hpp"
#include "daemon/enforce/service_manager.hpp"
#include "tests/unit/folder.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

using namespace vigil;
using namespace std::chrono_literals;
using enforce::ServiceManager;

namespace {

constexpr Microseconds ample = 20s;

/// Its socket, in a folder of its own.
class Socket {
public:
    explicit Socket(int backlog = 16) {
        fd_ = make();
        ck_assert_int_eq(
            bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_), 0);
        ck_assert_int_eq(listen(fd_.get(), backlog), 0);
    }
    /// As long as somebody is there to be accepted.
    base::UniqueFd accept() const {
        return base::UniqueFd{::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    }
    /// Whoever is in accept() is told that there is nobody any more.
    void shut() const { ::shutdown(fd_.get(), SHUT_RDWR); }
    void close() { fd_.reset(); }
    /// Connects until the backlog has no room.
    std::vector<base::UniqueFd> fill() {
        std::vector<base::UniqueFd> callers;
        do {
            callers.push_back(make());
            fcntl(callers.back().get(), F_SETFL, O_NONBLOCK);
        } while (::connect(callers.back().get(), reinterpret_cast<const sockaddr*>(&address_),
                           sizeof address_) == 0);
        ck_assert_int_eq(errno, EAGAIN);
        return callers;
    }
    const char* path() const { return path_.c_str(); }

private:
    base::UniqueFd make() {
        address_.sun_family = AF_UNIX;
        std::strcpy(address_.sun_path, path_.c_str());
        base::UniqueFd fd{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        ck_assert(static_cast<bool>(fd));
        return fd;
    }

    test::Folder folder_;
    std::filesystem::path path_ = folder_ / "private";
    sockaddr_un address_{};
    base::UniqueFd fd_;
};

/// Serves one connection after the other, in a thread: `Start` is answered, `Refuse` refused, and
/// at the `Leave`s it hangs up, with what it was asked before on the same connection unanswered.
class Pid1 {
public:
    Pid1()
        : thread_{[this] {
              while (const auto fd = socket_.accept()) {
                  ++connections;
                  serve(fd.get());
                  ++closed;
              }
          }} {}
    ~Pid1() {
        socket_.shut();
        thread_.join();
    }

    const char* path() const { return socket_.path(); }

    std::atomic<int> connections = 0;
    std::atomic<int> closed = 0;
    std::atomic<int> calls = 0;

private:
    static int answer(sd_bus_message* call, void* userdata, sd_bus_error* error) {
        auto& self = *static_cast<Pid1*>(userdata);
        ++self.calls;
        if (sd_bus_message_is_method_call(call, nullptr, "Start"))
            return sd_bus_reply_method_return(call, "o", "/job");
        if (sd_bus_message_is_method_call(call, nullptr, "Refuse"))
            return sd_bus_error_set(error, "org.freedesktop.systemd1.UnitExists", "it is there");
        self.leaves_ = sd_bus_message_is_method_call(call, nullptr, "Leave") > 0;
        return 1; // later
    }

    void serve(int fd) {
        sd_bus* raw = nullptr;
        sd_bus_new(&raw);
        const base::Bus bus{raw};
        const int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        sd_bus_set_fd(raw, own, own);
        sd_bus_set_server(raw, 1, sd_id128_t{});
        sd_bus_add_object(raw, nullptr, "/org/freedesktop/systemd1", answer, this);
        if (sd_bus_start(raw) < 0)
            return;
        for (leaves_ = false; !leaves_;) {
            const int r = sd_bus_process(raw, nullptr);
            if (r < 0 || (r == 0 && sd_bus_wait(raw, UINT64_MAX) < 0))
                return;
        }
    }

    Socket socket_;
    bool leaves_ = false;
    std::thread thread_;
};

base::EventLoop new_loop() {
    ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
    sd_event* raw = nullptr;
    ck_assert_int_ge(sd_event_new(&raw), 0);
    return base::EventLoop{raw};
}

void run_until(const base::EventLoop& loop, const std::function<bool()>& done) {
    const BootTime deadline = base::read_boot_time() + ample;
    while (!done()) {
        ck_assert_msg(base::read_boot_time() < deadline, "it does not come");
        ck_assert_int_ge(sd_event_run(loop.get(), 10'000), 0);
    }
}

/// What was told of failures.
using Told = std::vector<std::string>;

void ask(ServiceManager& pid1, const char* method, enforce::CallFailed failed) {
    const auto call = pid1.new_call(method);
    CHECK_OK(call);
    CHECK_OK(pid1.send(*call, method, std::move(failed)));
}

void ask(ServiceManager& pid1, const char* method, Told& told) {
    ask(pid1, method, [&told](const std::string& name, const std::string& line) {
        told.push_back(name + ": " + line);
    });
}

START_TEST(what_is_asked_at_a_time_goes_over_one_connection_that_ends_with_the_last_answer) {
    Pid1 pid1;
    const auto loop = new_loop();
    ServiceManager manager{loop.get(), pid1.path()};
    Told told;
    for (int round = 1; round <= 3; ++round) {
        for (int i = 0; i < 50; ++i)
            ask(manager, "Start", told);
        run_until(loop, [&] { return pid1.closed == round; });
        ck_assert_int_eq(pid1.connections, round);
        ck_assert_int_eq(pid1.calls, 50 * round);
    }
    ck_assert_uint_eq(told.size(), 0);
}
END_TEST

START_TEST(a_refusal_is_told_and_what_it_leads_to_goes_over_the_same_connection) {
    Pid1 pid1;
    const auto loop = new_loop();
    ServiceManager manager{loop.get(), pid1.path()};
    Told told;
    ask(manager, "Refuse", [&](const std::string& name, const std::string& line) {
        told.push_back(name + ": " + line);
        ask(manager, "Start", told);
    });
    run_until(loop, [&] { return pid1.closed == 1; });
    ck_assert_int_eq(pid1.calls, 2);
    ck_assert_uint_eq(told.size(), 1);
    CHECK_TEXT(told[0], "org.freedesktop.systemd1.UnitExists: Refuse: it is there");
}
END_TEST

START_TEST(a_hang_up_is_told_to_all_who_wait_and_the_next_question_is_answered) {
    Pid1 pid1;
    const auto loop = new_loop();
    ServiceManager manager{loop.get(), pid1.path()};
    Told told;
    ask(manager, "Later", told);
    ask(manager, "Later", told);
    ask(manager, "Leave", told);
    run_until(loop, [&] { return told.size() == 3; });
    ck_assert_int_eq(pid1.connections, 1);
    for (const auto& line : told)
        ck_assert_msg(line.starts_with("org.freedesktop.DBus.Error.NoReply: "), "%s", line.c_str());
    ask(manager, "Start", told);
    run_until(loop, [&] { return pid1.closed == 2; });
    ck_assert_uint_eq(told.size(), 3);
}
END_TEST

START_TEST(who_asks_while_a_hang_up_is_being_told_is_told_of_it) {
    Pid1 pid1;
    const auto loop = new_loop();
    ServiceManager manager{loop.get(), pid1.path()};
    int told = 0;
    for (const char* method : {"Later", "Leave"})
        ask(manager, method, [&](const std::string&, const std::string&) {
            ++told;
            CHECK_ERROR(manager.reach(), ECONNRESET);
            CHECK_ERROR(manager.new_call("Start"), ECONNRESET);
        });
    run_until(loop, [&] { return told == 2; });
}
END_TEST

START_TEST(one_that_is_silent_keeps_nobody_waiting) {
    const Socket socket;
    const auto loop = new_loop();
    Told told;
    {
        ServiceManager manager{loop.get(), socket.path()};
        const auto before = base::read_boot_time();
        for (int i = 0; i < 50; ++i)
            ask(manager, "Start", told);
        // The first turn may have something to do; afterwards it sleeps.
        for (int i = 0; i < 10; ++i)
            ck_assert_int_ge(sd_event_run(loop.get(), 1000), 0);
        ck_assert(base::read_boot_time() - before < ample);
    }
    ck_assert_uint_eq(told.size(), 0);
    ck_assert_int_ge(sd_event_run(loop.get(), 1000), 0);
}
END_TEST

START_TEST(one_that_takes_nobody_is_told_at_once) {
    Socket socket{0};
    const auto loop = new_loop();
    ServiceManager manager{loop.get(), socket.path()};
    {
        const auto callers = socket.fill();
        CHECK_ERROR(manager.reach(), EAGAIN);
    }
    socket.close();
    CHECK_ERROR(manager.new_call("Start"), ECONNREFUSED);
    std::filesystem::remove(socket.path());
    CHECK_ERROR(manager.reach(), ENOENT);
}
END_TEST

START_TEST(a_look_whether_it_is_there_leaves_no_connection) {
    Pid1 pid1;
    const auto loop = new_loop();
    ServiceManager manager{loop.get(), pid1.path()};
    CHECK_OK(manager.reach());
    run_until(loop, [&] { return pid1.closed == 1; });
    ck_assert_int_eq(pid1.calls, 0);
}
END_TEST

} // namespace

int main() {
    return test::run(
        "enforce_service_manager",
        {what_is_asked_at_a_time_goes_over_one_connection_that_ends_with_the_last_answer,
         a_refusal_is_told_and_what_it_leads_to_goes_over_the_same_connection,
         a_hang_up_is_told_to_all_who_wait_and_the_next_question_is_answered,
         who_asks_while_a_hang_up_is_being_told_is_told_of_it,
         one_that_is_silent_keeps_nobody_waiting, one_that_takes_nobody_is_told_at_once,
         a_look_whether_it_is_there_leaves_no_connection},
        {.seconds = 60});
}
