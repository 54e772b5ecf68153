// What a login costs at the real vigild's direct socket, in round trips of an empty call through
// dbus-daemon, which are measured in the same run and in turns: absolute times differ from machine
// to machine. Asked: register and release in at most 4. Run by tests/bus/apart.
//   bench_login VIGILD

#include "base/bus_client.hpp"
#include "base/clock.hpp"
#include "base/process.hpp"
#include "wire/bus_codec.hpp"
#include "wire/names.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vigil;
using Clock = std::chrono::steady_clock;
using Micro = std::chrono::duration<double, std::micro>;

namespace {

constexpr int rounds = 10;
constexpr int logins_a_round = 60;
constexpr int calls_a_round = 300;
constexpr const char* server_name = "org.vigil1.Bench";

constexpr const char* policy = R"(version: 1
sessions:
  - {name: administrators, match: {groups: [sudo]}, idle_lock: 5m}
  - {name: everyone, idle_warn: 1m, idle_lock: 15m, max_duration: 12h, max_sessions: {user: 10000}}
)";
constexpr const char* broker_config = R"(<busconfig><type>system</type><listen>unix:path=%s</listen>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/></policy></busconfig>)";

void check(bool good, const char* what) {
    if (!good)
        throw std::runtime_error{what};
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

/// A child that ends with this program.
template <typename Run>
pid_t start(Run run) {
    const pid_t parent = getpid();
    const pid_t pid = fork();
    check(pid >= 0, "fork");
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        run();
    _exit(EXIT_FAILURE);
}

void end(pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
}

template <typename Try>
void eventually(Try attempt, const char* what) {
    for (int i = 0; i < 500; ++i, usleep(10'000))
        if (attempt())
            return;
    throw std::runtime_error{what};
}

// ---- the measure

int answer(sd_bus_message* message, void*, sd_bus_error*) noexcept {
    return sd_bus_reply_method_return(message, nullptr);
}

[[noreturn]] void serve() {
    sd_bus* raw = nullptr;
    check(sd_bus_open_system(&raw) >= 0, "the server's connection");
    const base::Bus bus{raw};
    check(sd_bus_add_object(raw, nullptr, "/bench", answer, nullptr) >= 0 &&
              sd_bus_request_name(raw, server_name, 0) >= 0,
          "the server's name");
    while (sd_bus_process(raw, nullptr) >= 0 && sd_bus_wait(raw, UINT64_MAX) >= 0) {
    }
    _exit(EXIT_FAILURE);
}

bool call_server(sd_bus* bus) {
    return sd_bus_call_method(bus, server_name, "/bench", "x.x", "Nop", nullptr, nullptr, "") >= 0;
}

// ---- a login

class Logins {
public:
    explicit Logins(std::string socket) : socket_{std::move(socket)} {}

    /// A login with a process of its own, microseconds from the first call to the last answer.
    double once() const {
        int result[2];
        check(pipe(result) == 0, "pipe");
        const pid_t pid = start([&] {
            const auto before = Clock::now();
            call("Reserve", true);
            call("Confirm", true);
            call("Release", false);
            const double took = Micro{Clock::now() - before}.count();
            _exit(write(result[1], &took, sizeof took) == sizeof took ? 0 : 1);
        });
        close(result[1]);
        double took = 0;
        const bool good = read(result[0], &took, sizeof took) == sizeof took;
        close(result[0]);
        waitpid(pid, nullptr, 0);
        check(good, "a login failed");
        return took;
    }

    /// A session that stays until its process ends.
    pid_t stay() const {
        int ready[2];
        check(pipe(ready) == 0, "pipe");
        const pid_t pid = start([&] {
            call("Reserve", true);
            call("Confirm", true);
            (void)!write(ready[1], "x", 1);
            close(ready[0]);
            close(ready[1]);
            pause();
        });
        close(ready[1]);
        char byte = 0;
        const bool good = read(ready[0], &byte, 1) == 1;
        close(ready[0]);
        check(good, "a login failed");
        return pid;
    }

    /// A connection and a call that vigild knows nothing of: what sd-bus costs without vigild.
    double empty_call() const {
        const auto before = Clock::now();
        auto client = base::BusClient::connect(socket_.c_str(),
                                               base::read_boot_time() + wire::machine_timeout);
        check(client.has_value(), "connecting");
        auto message = client->message("/elsewhere", "x.x", "Nop");
        check(message && !client->call(std::move(*message)), "an empty call");
        client = fail("hung up");
        return Micro{Clock::now() - before}.count();
    }

    bool answers() const {
        return base::BusClient::connect(socket_.c_str(), base::read_boot_time() + Seconds{1})
            .has_value();
    }

private:
    /// As pam_vigil.so does it: a connection for each call.
    void call(const char* method, bool with_login) const {
        static const wire::Login login{.user = "nobody",
                                       .uid = 65534,
                                       .groups = {"nogroup", "users"},
                                       .service = "sshd",
                                       .terminal = "ssh",
                                       .remote_host = "192.0.2.1"};
        const auto leader = base::open_pidfd(getpid());
        auto client = base::BusClient::connect(socket_.c_str(),
                                               base::read_boot_time() + wire::machine_timeout);
        check(leader && client, "connecting");
        auto message = client->message(wire::manager_path, wire::manager_interface, method);
        check(message && wire::append_fd(message->get(), leader->get()) &&
                  (!with_login || wire::append(message->get(), login)),
              "writing a request");
        check(client->call(std::move(*message)).has_value(), method);
    }

    std::string socket_;
};

double cpu_of(pid_t pid) {
    clockid_t clock{};
    timespec spent{};
    check(clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &spent) == 0, "CPU time");
    return static_cast<double>(spent.tv_sec) * 1e6 + static_cast<double>(spent.tv_nsec) / 1e3;
}

long resident_kb(pid_t pid) {
    long size = 0;
    long resident = 0;
    std::ifstream{"/proc/" + std::to_string(pid) + "/statm"} >> size >> resident;
    return resident * sysconf(_SC_PAGESIZE) / 1024;
}

struct Figures {
    double took;
    double empty;
    double round_trip;
    double cpu;
};

Figures measure(const Logins& logins, pid_t vigild, sd_bus* bus) {
    std::vector<double> took;
    std::vector<double> trips;
    std::vector<double> empty;
    double cpu = 0;
    for (int round = 0; round < rounds; ++round) {
        for (int i = 0; i < calls_a_round; ++i) {
            const auto before = Clock::now();
            check(call_server(bus), "an empty call");
            trips.push_back(Micro{Clock::now() - before}.count());
        }
        for (int i = 0; i < logins_a_round; ++i)
            empty.push_back(logins.empty_call());
        const double before = cpu_of(vigild);
        for (int i = 0; i < logins_a_round; ++i)
            took.push_back(logins.once());
        cpu += cpu_of(vigild) - before;
    }
    return {median(took), median(empty), median(trips), cpu / (rounds * logins_a_round)};
}

void report(const char* when, const Figures& figures) {
    const auto trips = [&](double time) { return time / figures.round_trip; };
    std::printf("%s: register + release %.0f us = %.2f RTT of %.0f us; three connections with an "
                "empty call each would be %.2f RTT; vigild's CPU %.0f us\n",
                when, figures.took, trips(figures.took), figures.round_trip,
                trips(3 * figures.empty), figures.cpu);
}

void run(const char* program) {
    char folder[] = "/tmp/vigil-bench-XXXXXX";
    check(mkdtemp(folder) != nullptr, "a folder");
    const std::string root{folder};
    struct Removed {
        std::string path;
        ~Removed() {
            std::error_code ignored;
            std::filesystem::remove_all(path, ignored);
        }
    } const removed{root};
    for (const char* below : {"/run", "/lib"})
        std::filesystem::create_directory(root + below);
    std::ofstream{root + "/policy.yaml"} << policy;
    char config[1024];
    std::snprintf(config, sizeof config, broker_config, (root + "/broker").c_str());
    std::ofstream{root + "/broker.conf"} << config;
    setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + root + "/broker").c_str(), 1);

    const auto exec = [](std::vector<const char*> words) {
        words.push_back(nullptr);
        execvp(words[0], const_cast<char* const*>(words.data()));
    };
    const pid_t broker = start([&] {
        exec({"dbus-daemon", "--nofork", "--config-file", (root + "/broker.conf").c_str()});
    });
    eventually([&] { return std::filesystem::exists(root + "/broker"); }, "the broker");
    const pid_t server = start(serve);
    const pid_t vigild = start([&] {
        if (std::freopen((root + "/log").c_str(), "w", stderr) != nullptr)
            exec({program, "--policy", (root + "/policy.yaml").c_str(), "--runtime",
                  (root + "/run").c_str(), "--state", (root + "/lib").c_str(), "--no-system-bus"});
    });
    const Logins logins{root + "/run/bus"};
    eventually([&] { return logins.answers(); }, "vigild");
    sd_bus* raw = nullptr;
    check(sd_bus_open_system(&raw) >= 0, "the broker's connection");
    const base::Bus bus{raw};
    eventually([&] { return call_server(raw); }, "the server");

    const long at_rest = resident_kb(vigild);
    const auto alone = measure(logins, vigild, raw);
    report("no session", alone);
    std::vector<pid_t> live;
    Figures few{};
    constexpr std::size_t few_sessions = 100;
    constexpr std::size_t many_sessions = 1000;
    while (live.size() < many_sessions) {
        live.push_back(logins.stay());
        if (live.size() == few_sessions)
            report("100 live sessions", few = measure(logins, vigild, raw));
    }
    const auto many = measure(logins, vigild, raw);
    report("1000 live sessions", many);
    std::printf("growth of the CPU from 100 to 1000: exponent %.3f\n",
                std::log10(many.cpu / few.cpu));
    std::printf("vigild's memory: %ld kB at rest, %ld kB with 1000 sessions\n", at_rest,
                resident_kb(vigild));
    for (const pid_t pid : live)
        end(pid);
    for (const pid_t pid : {vigild, server, broker})
        end(pid);
}

} // namespace

int main(int argc, char** argv) try {
    check(argc == 2, "usage: bench_login VIGILD");
    run(argv[1]);
} catch (const std::exception& error) {
    std::fprintf(stderr, "bench_login: %s\n", error.what());
    return EXIT_FAILURE;
}
