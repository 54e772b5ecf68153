#include "tests/pam/sudo_host.hpp"

#include "tests/unit/test.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <dlfcn.h>

namespace vigil::test {

namespace {

SudoHost* the_host; // sudo's functions are given nothing that would tell

/// Ended by a null pointer, as sudo's lists are.
class List {
public:
    explicit List(std::vector<std::string> texts) : texts_{std::move(texts)} {
        for (auto& text : texts_)
            pointers_.push_back(text.data());
        pointers_.push_back(nullptr);
    }
    char** get() noexcept { return pointers_.data(); }

private:
    std::vector<std::string> texts_;
    std::vector<char*> pointers_;
};

int converse(int count, const sudo_conv_message* messages, sudo_conv_reply* replies,
             sudo_conv_callback*) {
    ck_assert_int_eq(count, 1);
    ck_assert_int_eq(messages[0].msg_type, SUDO_CONV_PROMPT_ECHO_OFF);
    the_host->prompts.emplace_back(messages[0].msg);
    if (the_host->answers.empty())
        return -1;
    if (the_host->before_answer)
        the_host->before_answer();
    replies[0].reply = ::strdup(the_host->answers.front().c_str());
    the_host->answers.erase(the_host->answers.begin());
    return 0;
}

[[gnu::format(printf, 2, 3)]] int print(int, const char* format, ...) {
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    const int written = std::vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    the_host->lines.emplace_back(line);
    return written;
}

} // namespace

SudoHost::SudoHost(const FakeVigild& vigild) : socket_{vigild.socket()} {
    the_host = this;
    library_ = ::dlopen(std::getenv("VIGIL_APPROVAL_SO"), RTLD_NOW | RTLD_LOCAL);
    ck_assert_msg(library_ != nullptr, "%s", ::dlerror());
    plugin_ = static_cast<const approval_plugin*>(::dlsym(library_, "vigil_approval"));
    ck_assert_ptr_nonnull(plugin_);
}

SudoHost::~SudoHost() {
    ::dlclose(library_);
}

int SudoHost::open(const SudoRun& run, unsigned version) {
    auto told = run.settings;
    if (!run.may_ask)
        told.emplace_back("noninteractive=true");
    List settings{std::move(told)};
    List user_info{{"user=" + run.user, "uid=" + std::to_string(run.uid), "cwd=" + run.directory}};
    List none{{}};
    auto words = run.options;
    words.push_back("socket=" + socket_);
    List options{std::move(words)};
    const char* error = nullptr;
    return plugin_->open(version, converse, print, settings.get(), user_info.get(), 0, none.get(),
                         none.get(), options.get(), &error);
}

int SudoHost::approve(const SudoRun& run) {
    const int opened = open(run);
    if (opened != 1)
        return opened;
    List command_info{run.command_info};
    List argv{run.argv};
    List environment{run.environment};
    const char* error = nullptr;
    return plugin_->check(command_info.get(), argv.get(), environment.get(), &error);
}

bool SudoHost::was_told(const std::string& text) const {
    return std::ranges::any_of(lines, [&](const auto& line) { return line.contains(text); });
}

} // namespace vigil::test
