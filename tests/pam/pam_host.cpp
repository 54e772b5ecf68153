#include "tests/pam/pam_host.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace vigil::test {

PamHost::PamHost(const FakeVigild& vigild, const std::string& service, const std::string& user,
                 const std::string& arguments, Lines lines_in_stacks) {
    char name[] = "/tmp/vigil-pam-conf-XXXXXX";
    if (!::mkdtemp(name))
        throw std::runtime_error("mkdtemp");
    directory_ = name;
    const char* const module = std::getenv("PAM_VIGIL_SO");
    const char* const probe = std::getenv("PROBE_SO");
    if (!module || !probe)
        throw std::runtime_error("PAM_VIGIL_SO and PROBE_SO must be set");
    const std::string bare = std::string{module} + " socket=" + vigild.socket() + " ";
    const std::string call = bare + arguments;
    std::ofstream file{directory_ + "/" + service};
    if (lines_in_stacks == Lines::prepare_first)
        file << "session optional " << call << " prepare\n";
    for (const std::string type : {"auth", "account", "session"})
        file << type << " [success=1 ignore=ignore default=die] "
             << (lines_in_stacks == Lines::auth_apart && type != "auth" ? bare : call) << "\n"
             << type << " required " << probe << " mark\n"
             << type << " required " << probe << "\n";
    file.close();
    const pam_conv conversation{.conv = converse, .appdata_ptr = this};
    if (pam_start_confdir(service.c_str(), user.c_str(), &conversation, directory_.c_str(),
                          &handle_) != PAM_SUCCESS)
        throw std::runtime_error("pam_start_confdir");
}

PamHost::~PamHost() {
    pam_end(handle_, PAM_SUCCESS);
    std::filesystem::remove_all(directory_);
}

void PamHost::set_conversation(int (*function)(int, const pam_message**, pam_response**, void*)) {
    const pam_conv conversation{.conv = function, .appdata_ptr = this};
    pam_set_item(handle_, PAM_CONV, &conversation);
}

int PamHost::session(int (*phase)(pam_handle_t*, int)) {
    if (pam_getenv(handle_, "TEST_IGNORED"))
        pam_putenv(handle_, "TEST_IGNORED");
    const int code = phase(handle_, 0);
    return code == PAM_SUCCESS && pam_getenv(handle_, "TEST_IGNORED") ? ignored : code;
}

bool PamHost::was_told(const std::string& text) const {
    return std::ranges::any_of(lines, [&](const auto& line) { return line.contains(text); });
}

int PamHost::converse(int count, const pam_message** messages, pam_response** responses,
                      void* data) {
    auto& self = *static_cast<PamHost*>(data);
    auto* const replies = static_cast<pam_response*>(
        std::calloc(static_cast<std::size_t>(count), sizeof(pam_response)));
    for (int i = 0; i < count; ++i) {
        const pam_message& message = *messages[i];
        if (message.msg_style == PAM_ERROR_MSG || message.msg_style == PAM_TEXT_INFO) {
            self.lines.emplace_back(message.msg);
            continue;
        }
        self.prompts.emplace_back(message.msg);
        if (self.before_answer)
            self.before_answer();
        if (self.next_ >= self.answers.size()) {
            std::free(replies);
            return PAM_CONV_ERR;
        }
        replies[i].resp = ::strdup(self.answers[self.next_++].c_str());
    }
    *responses = replies;
    return PAM_SUCCESS;
}

std::chrono::milliseconds time_of(const std::function<void()>& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                                 begin);
}

} // namespace vigil::test
