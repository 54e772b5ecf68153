#include "tests/pam/fake_vigild.hpp"

#include "base/dbus_peer.hpp"
#include "base/process.hpp"
#include "wire/codec.hpp"
#include "wire/names.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vigil::test {

namespace {

void must(bool held, const char* what) {
    if (!held) {
        std::perror(what);
        std::abort();
    }
}

template <std::size_t size>
void copy(char (&to)[size], std::string_view from) {
    must(from.size() < size, "a text longer than the test thought");
    std::memcpy(to, from.data(), from.size());
    to[from.size()] = '\0';
}

void add_text(base::DbusWriter& reply, const char* text) {
    must(reply.basic('s', text) >= 0, "append");
}

void add_number(base::DbusWriter& reply, std::uint64_t number) {
    must(reply.basic('t', &number) >= 0, "append");
}

void note_process(Fake& fake, base::ValueSource& call) {
    const auto fd = wire::read_fd(call);
    must(fd.has_value(), "reading the pidfd");
    const auto process = base::process_of_pidfd(fd->get());
    must(process.has_value(), "a pidfd that is none");
    fake.process = process->pid;
}

void note_login(Fake& fake, const wire::Login& login) {
    fake.uid = login.uid;
    fake.groups = static_cast<int>(login.groups.size());
    copy(fake.user, login.user);
    copy(fake.service, login.service);
    copy(fake.terminal, login.terminal);
    copy(fake.host, login.remote_host);
}

void note_login(Fake& fake, base::ValueSource& call) {
    const auto login = wire::read<wire::Login>(call);
    must(login.has_value(), "reading the login");
    note_login(fake, *login);
}

void note_request(Fake& fake, base::ValueSource& call) {
    const auto request = wire::read<wire::StepUpRequest>(call);
    must(request.has_value(), "reading the request");
    fake.purpose = static_cast<std::uint32_t>(request->purpose);
    copy(fake.run_as, request->run_as);
    note_login(fake, request->login);
}

void note_command(Fake& fake, base::ValueSource& call) {
    const auto command = wire::read<wire::Command>(call);
    must(command.has_value(), "reading the command");
    copy(fake.path, command->path);
    copy(fake.first_argument, command->arguments.empty() ? "" : command->arguments.front());
    fake.arguments = static_cast<int>(command->arguments.size());
    fake.edits = command->edits;
    fake.settled = command->settled;
    fake.cut = command->cut;
}

/// Appended by hand: the codec would refuse to tell the lies that are wanted here.
void add_verdict(Fake& fake, base::DbusWriter& reply, std::uint32_t verdict, const char* text) {
    const std::string flood(wire::max_reason_bytes + 1, 'x');
    if (fake.mood == Mood::lies)
        verdict = 77;
    if (fake.mood == Mood::floods)
        text = flood.c_str();
    must(reply.basic('u', &verdict) >= 0, "append");
    add_text(reply, text);
}

void reserve(Fake& fake, base::ValueSource& call, base::DbusWriter& reply) {
    note_process(fake, call);
    note_login(fake, call);
    ++fake.reserved;
    add_verdict(fake, reply, fake.reserve_verdict, fake.reason);
    add_number(reply, fake.max_seconds);
}

void note_question(Fake& fake, base::ValueSource& call, std::string_view member) {
    note_process(fake, call);
    note_request(fake, call);
    if (member.ends_with("Command"))
        note_command(fake, call);
    if (member.ends_with("Login")) {
        const auto after = wire::read<std::string>(call);
        must(after.has_value(), "reading what was shown before");
        copy(fake.after, *after);
    }
}

void ask(Fake& fake, base::ValueSource& call, base::DbusWriter& reply, std::string_view member) {
    note_question(fake, call, member);
    ++fake.asked;
    add_verdict(fake, reply, fake.ask_verdict, fake.ask_text);
    must(reply.open('a', "s") >= 0, "append");
    for (const auto& factor : fake.factors)
        if (*factor != '\0')
            add_text(reply, factor);
    must(reply.close() >= 0, "append");
    add_text(reply, *fake.person != '\0' ? fake.person : fake.user);
    add_number(reply, fake.ask_wait);
}

void prove(Fake& fake, base::ValueSource& call, base::DbusWriter& reply, std::string_view member) {
    note_question(fake, call, member);
    const auto proof = wire::read<wire::Proof>(call);
    must(proof.has_value(), "reading the proof");
    const int at = fake.proved++ % 8;
    copy(fake.answers[at], proof->answer);
    std::memcpy(fake.attempts[at], proof->attempt.data(), proof->attempt.size());
    const bool right = proof->answer == fake.code;
    const bool more = right && *fake.then != '\0';
    add_verdict(fake, reply, more ? 3 : right ? 1 : fake.wrong_verdict, "proof judged");
    must(reply.open('a', "s") >= 0, "append");
    if (more)
        add_text(reply, fake.then);
    must(reply.close() >= 0, "append");
    add_number(reply, right ? 0 : fake.prove_wait);
    if (more)
        *fake.then = '\0';
}

void handle(Fake& fake, std::string_view member, base::ValueSource& call, base::DbusWriter& reply) {
    if (member == "Reserve") {
        reserve(fake, call, reply);
    } else if (member == "Ask" || member == "AskCommand" || member == "AskLogin") {
        ask(fake, call, reply, member);
    } else if (member == "Prove" || member == "ProveCommand" || member == "ProveLogin") {
        prove(fake, call, reply, member);
    } else if (member == "Prepare") {
        note_process(fake, call);
        ++fake.prepared;
        add_number(reply, fake.max_seconds);
    } else if (member == "Confirm") {
        note_process(fake, call);
        note_login(fake, call);
        ++fake.confirmed;
        add_text(reply, "0123456789abcdef0123456789abcdef");
    } else if (member == "Release") {
        note_process(fake, call);
        ++fake.released;
    } else if (member == "Elevated") {
        note_process(fake, call);
        const auto service = wire::read<std::string>(call);
        const auto run_as = wire::read<std::string>(call);
        must(service && run_as, "reading what is elevated");
        copy(fake.service, *service);
        copy(fake.run_as, *run_as);
        ++fake.elevated;
        add_text(reply, "0123456789abcdef0123456789abcdef");
    } else {
        must(false, "a method nobody asked for");
    }
}

/// False: hang up now.
bool answer(Fake& fake, const base::DbusRequest& request) {
    auto call = request.reader();
    base::DbusWriter reply;
    handle(fake, request.message().member, call, reply);
    if (fake.mood == Mood::hangs_up && fake.hang_ups > 0) {
        --fake.hang_ups;
        return false;
    }
    if (fake.mood == Mood::mute)
        return true;
    if (fake.mood == Mood::refuses) {
        must(request.refuse(wire::error_broken, "the policy is broken").has_value(), "reply");
        return true;
    }
    base::DbusWriter nonsense;
    must(nonsense.open('a', "s") >= 0 && nonsense.basic('s', "nonsense") >= 0 &&
             nonsense.close() >= 0,
         "reply");
    // Who asked may have given up by now.
    (void)request.answer(fake.mood == Mood::mistypes ? nonsense : reply);
    return true;
}

void serve(Fake& fake, int fd) {
    if (fake.mood == Mood::babbles) {
        const std::string_view text = "HTTP/1.1 400 Bad Request\r\n\r\n";
        // What is left unread would reset the connection, and its text might not be seen (unix(7)).
        char greeting[256];
        must(::recv(fd, greeting, sizeof greeting, 0) >= 0, "recv");
        must(::send(fd, text.data(), text.size(), MSG_NOSIGNAL) > 0, "send");
        ::close(fd);
        return;
    }
    const auto peer = std::make_shared<base::DbusPeer>(base::UniqueFd{fd}, std::string(32, '1'));
    bool goes_on = true;
    while (goes_on) {
        pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
        if (::poll(&ready, 1, -1) < 0)
            return;
        const auto received = peer->receive([&](std::shared_ptr<base::DbusRequest> request) {
            goes_on = goes_on && answer(fake, *request);
        });
        if (!received)
            return;
    }
}

[[noreturn]] void run(Fake& fake, int listener) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (true) {
        const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        must(fd >= 0, "accept");
        ++fake.connections;
        if (fake.mood != Mood::silent) // else left open, and unread
            serve(fake, fd);
    }
}

} // namespace

FakeVigild::FakeVigild() {
    void* const memory =
        ::mmap(nullptr, sizeof(Fake), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(memory != MAP_FAILED, "mmap");
    fake_ = new (memory) Fake{};
    fake_->reserve_verdict = 1;
    fake_->max_seconds = wire::unlimited;
    fake_->ask_verdict = 1;
    copy(fake_->factors[0], "totp");
    copy(fake_->code, "123456");

    char name[] = "/tmp/vigil-pam-XXXXXX";
    must(::mkdtemp(name) != nullptr, "mkdtemp");
    directory_ = name;
    mark_elevated();
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, socket().c_str());
    must(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind");
    must(::listen(listener_, 16) == 0, "listen");
    process_ = ::fork();
    must(process_ >= 0, "fork");
    if (process_ == 0)
        run(*fake_, listener_);
}

void FakeVigild::mark_elevated() {
    must(std::ofstream{directory_ + "/" + wire::elevated_mark}.good(), "marking");
}

void FakeVigild::stop() {
    if (process_ > 0) {
        ::kill(process_, SIGKILL);
        must(::waitpid(process_, nullptr, 0) == process_, "waitpid");
        process_ = 0;
    }
    if (listener_ >= 0)
        ::close(std::exchange(listener_, -1));
}

void FakeVigild::remove() {
    stop();
    ::unlink(socket().c_str());
}

FakeVigild::~FakeVigild() {
    stop();
    std::filesystem::remove_all(directory_);
    ::munmap(fake_, sizeof(Fake));
}

} // namespace vigil::test
