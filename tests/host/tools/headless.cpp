// A program whose first thread has ended while another runs on: the kernel shows it as one that
// waits for its parent. It counts in a file until it is killed.
//   headless FILE

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

#include <sys/syscall.h>
#include <unistd.h>

namespace {

[[noreturn]] void count_in(const std::string& path) {
    for (long number = 1;; ++number) {
        // Whole at any moment.
        const std::string next = path + ".next";
        if (std::FILE* const file = std::fopen(next.c_str(), "w")) {
            std::fprintf(file, "%ld\n", number);
            std::fclose(file);
            std::rename(next.c_str(), path.c_str());
        }
        std::this_thread::sleep_for(std::chrono::milliseconds{20});
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2)
        return 2;
    std::thread{count_in, std::string{argv[1]}}.detach();
    ::syscall(SYS_exit, 0); // of this thread alone
}
