// Globs against what fnmatch says of them, and what they may cost.
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "host/glob.h"

static void it_matches_as_the_shell_does(void **state) {
    (void)state;
    static const char *const globs[] = {"a",      "*",      "",      "a*",    "*a",    "*a*b*", "a?b",    "?",
                                        "??*",    "[ab]*",  "[!a]b", "[^a]",  "[a-c]", "[]a]",  "a\\*b",  "\\?",
                                        "a[b]*c", "*[c-d]", "**a*",  "a*b?c", "[",     "a[b",   "*[a-]b", "line-*"};
    static const char letters[] = "abcd*?[]-\\";
    srand(3);
    for (size_t g = 0; g < sizeof globs / sizeof globs[0]; g++)
        for (int i = 0; i < 2000; i++) {
            char name[8];
            int length = rand() % 7;
            for (int c = 0; c < length; c++)
                name[c] = letters[(size_t)rand() % (i % 2 ? 4 : sizeof letters - 1)];
            name[length] = '\0';
            bool wanted = fnmatch(globs[g], name, 0) == 0;
            if (tv_host_glob_matches(globs[g], name) != wanted) fail_msg("'%s' and '%s'", globs[g], name);
        }
}

static void many_stars_take_no_time(void **state) {
    (void)state;
    char glob[TV_HOST_GLOB_BYTES_MAX + 1] = "", name[256];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (size_t i = 0; i + 2 < sizeof glob - 1; i += 2)
        memcpy(glob + i, "a*", 3);
    strcat(glob, "b");
    int64_t begin_ns = tv_clock_thread_cpu_ns(tv_clock_system());
    for (int i = 0; i < 1000; i++)
        assert_false(tv_host_glob_matches(glob, name));
    assert_true(tv_clock_thread_cpu_ns(tv_clock_system()) - begin_ns < 5000000000); // fnmatch would take years
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_matches_as_the_shell_does),
        cmocka_unit_test(many_stars_take_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
