// A program made with ncurses, for the host tests of the lock: it draws anew when ncurses tells it
// of another size, and then alone, as most do. It shows the last letter typed; q ends it. The
// library is the host's own, which top and watch use, so that nothing has to be there to build
// this.

#include <cstdio>

#include <dlfcn.h>

namespace {

using Window = void;

template <typename Function>
Function* get(void* library, const char* name) {
    auto* const found = reinterpret_cast<Function*>(dlsym(library, name));
    if (!found)
        std::fprintf(stderr, "no %s\n", name);
    return found;
}

} // namespace

int main() {
    void* const library = dlopen("libncursesw.so.6", RTLD_NOW);
    if (!library) {
        std::fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    auto* const initscr = get<Window*()>(library, "initscr");
    auto* const cbreak = get<int()>(library, "cbreak");
    auto* const noecho = get<int()>(library, "noecho");
    auto* const keypad = get<int(Window*, bool)>(library, "keypad");
    auto* const curs_set = get<int(int)>(library, "curs_set");
    auto* const mvwprintw = get<int(Window*, int, int, const char*, ...)>(library, "mvwprintw");
    auto* const wrefresh = get<int(Window*)>(library, "wrefresh");
    auto* const wgetch = get<int(Window*)>(library, "wgetch");
    auto* const endwin = get<int()>(library, "endwin");
    if (!initscr || !cbreak || !noecho || !keypad || !curs_set || !mvwprintw || !wrefresh ||
        !wgetch || !endwin)
        return 2;

    Window* const window = initscr();
    cbreak();
    noecho();
    keypad(window, true);
    curs_set(0);
    mvwprintw(window, 2, 2, "made with ncurses");
    wrefresh(window);
    for (int key = 0; key != 'q' && key != -1;) {
        key = wgetch(window);
        if (key >= 'a' && key <= 'z')
            mvwprintw(window, 4, 2, "typed %c", key);
        wrefresh(window);
    }
    endwin();
    return 0;
}
