// Expressions of `tap` against what regcomp and regexec say of them, and what they may cost.
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "host/control_regex.h"

static bool matches(const char *pattern, const char *text, uint32_t length, int64_t portion) {
    tv_host_regex *regex;
    tv_host_regex_match match = {0};
    tv_error error = {0};
    tv_status status;
    if (tv_host_regex_new(pattern, &regex, &error) != TV_OK) fail_msg("%s: %s", pattern, error.message);
    do {
        int64_t work = portion;
        status = tv_host_regex_match_on(regex, text, length, &match, &work);
    } while (status == TV_AGAIN);
    free(regex);
    return status == TV_OK;
}

static void it_matches_as_the_system_does(void **state) {
    (void)state;
    static const char *const patterns[] = {"a",
                                           "",
                                           "^a",
                                           "a$",
                                           "^a$",
                                           "^$",
                                           "ab|cd",
                                           "(ab|c)*d",
                                           "a*",
                                           "a+",
                                           "a?b",
                                           "^(a|b)*$",
                                           "[abc]+d",
                                           "[^abc]d",
                                           "[a-c]{2}",
                                           "a{2,3}b",
                                           "a{2,}b",
                                           "^a{0}b",
                                           ".",
                                           "a.c",
                                           "a\\.c",
                                           "[]a]b",
                                           "[^]a]b",
                                           "[[:digit:]]+",
                                           "x[[:alpha:]]y",
                                           "(a)(b)",
                                           "()b",
                                           "(a|ab)(c|bcd)(d*)",
                                           "((a{2}){2}){2}",
                                           "^.*b.*$",
                                           "a|b|",
                                           "(^a|b$)",
                                           "a^b",
                                           "a$b",
                                           "(^)a",
                                           "a($)",
                                           "-[a-]b",
                                           "a{1,2}{2}",
                                           "(a*)*b",
                                           "(a*)+$",
                                           "\\w+\\s\\W",
                                           "[.]",
                                           "\"value\":[0-9]+"};
    static const char letters[] = "abcd.]-x1 \"";
    tv_text failures = {0};
    srand(7);
    for (size_t p = 0; p < sizeof patterns / sizeof patterns[0]; p++) {
        regex_t system;
        assert_int_equal(regcomp(&system, patterns[p], REG_EXTENDED | REG_NOSUB), 0);
        for (int i = 0; i < 400; i++) {
            char text[16];
            int length = rand() % 9;
            for (int c = 0; c < length; c++)
                text[c] = letters[(size_t)rand() % (i % 2 ? 4 : sizeof letters - 1)];
            text[length] = '\0';
            bool wanted = regexec(&system, text, 0, NULL, 0) == 0;
            for (int64_t portion = 1; portion <= 1000; portion *= 10)
                if (matches(patterns[p], text, (uint32_t)length, portion) != wanted)
                    tv_text_print(&failures, "%s: '%s' should%s\n", patterns[p], text, wanted ? "" : " not");
        }
        regfree(&system);
    }
    if (failures.length) fail_msg("%s", failures.bytes);
}

static void bytes_that_are_no_text_are_bytes(void **state) {
    (void)state;
    assert_true(matches("a.b", "a\0b", 3, 1000));
    assert_true(matches("^[^a]+$", "\xff\0\x80", 3, 1000));
    assert_false(matches("^[[:alpha:]]+$", "\xe4", 1, 1000));
}

static void wrong_expressions_are_refused_with_their_place(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *says;
        tv_status status;
    } cases[] = {{"(a", "not closed, at byte 3", TV_INVALID},
                 {"a)", "was not opened, at byte 2", TV_INVALID},
                 {"[a", "[ is not closed", TV_INVALID},
                 {"*a", "nothing to repeat, at byte 1", TV_INVALID},
                 {"a{2,1}", "{m,n}", TV_INVALID},
                 {"a{x}", "{m,n}", TV_INVALID},
                 {"a\\", "backslash at the end", TV_INVALID},
                 {"(a)\\1", "only \\w", TV_INVALID},
                 {"[b-a]", "ends before it begins", TV_INVALID},
                 {"[[:name:]]", "no such character class", TV_INVALID},
                 {"a{256}", "more than 255", TV_TOO_LARGE}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tv_host_regex *regex = NULL;
        tv_error error = {0};
        assert_int_equal(tv_host_regex_new(cases[i].pattern, &regex, &error), cases[i].status);
        if (!strstr(error.message, cases[i].says)) fail_msg("%s: %s", cases[i].pattern, error.message);
        assert_null(regex);
    }
}

static void expression_at_the_maximum_is_taken_and_one_more_is_not(void **state) {
    (void)state;
    tv_host_regex *regex;
    tv_error error;
    assert_int_equal(tv_host_regex_new("(a{128}){2}", &regex, &error), TV_OK);
    free(regex);
    assert_int_equal(tv_host_regex_new("(a{128}){2}b", &regex, &error), TV_TOO_LARGE);
    char pattern[TV_HOST_REGEX_PATTERN_BYTES_MAX + 2];
    memset(pattern, '|', sizeof pattern);
    pattern[TV_HOST_REGEX_PATTERN_BYTES_MAX] = '\0';
    assert_int_equal(tv_host_regex_new(pattern, &regex, &error), TV_OK);
    free(regex);
    pattern[TV_HOST_REGEX_PATTERN_BYTES_MAX] = '|';
    pattern[TV_HOST_REGEX_PATTERN_BYTES_MAX + 1] = '\0';
    assert_int_equal(tv_host_regex_new(pattern, &regex, &error), TV_TOO_LARGE);
    char deep[2 * 64 + 4] = "";
    memset(deep, '(', 64);
    memset(deep + 64, ')', 64);
    assert_int_equal(tv_host_regex_new(deep, &regex, &error), TV_OK);
    free(regex);
    memset(deep, '(', 65);
    memset(deep + 65, ')', 65);
    assert_int_equal(tv_host_regex_new(deep, &regex, &error), TV_TOO_LARGE);
}

// What makes others take gigabytes or minutes.
static void hostile_expressions_end_at_once(void **state) {
    (void)state;
    static const char *const patterns[] = {"((((((a{99}){99}){99}){99}){99}){99})",
                                           "(((((){255}){255}){255}){255}){255}", "(((a?){255}){255}){255}",
                                           "((((|){200}){200}){200}){200}"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        tv_host_regex *regex = NULL;
        tv_error error;
        assert_int_equal(tv_host_regex_new(patterns[i], &regex, &error), TV_TOO_LARGE);
    }
}

static void work_is_bounded_by_positions_and_bytes_and_can_be_cut_anywhere(void **state) {
    (void)state;
    enum { BYTES = 65536, PORTION = 1000 };
    static const char *const patterns[] = {"(a|a|a|a|a)*(a|a|a)*b", "(a?){100}a{100}b", "(a*)*(a*)*(a*)*c",
                                           "(.*a){20}b"};
    char *text = malloc(BYTES);
    memset(text, 'a', BYTES);
    for (size_t p = 0; p < sizeof patterns / sizeof patterns[0]; p++) {
        tv_host_regex *regex;
        tv_host_regex_match match = {0};
        tv_error error;
        int64_t all = 0;
        tv_status status = TV_AGAIN;
        assert_int_equal(tv_host_regex_new(patterns[p], &regex, &error), TV_OK);
        while (status == TV_AGAIN) {
            int64_t work = PORTION;
            status = tv_host_regex_match_on(regex, text, BYTES, &match, &work);
            assert_true(work > -TV_HOST_REGEX_POSITIONS_MAX - 2); // one byte beyond
            all += PORTION - work;
        }
        assert_int_equal(status, TV_NOT_FOUND);
        assert_true(all <= (int64_t)BYTES * (TV_HOST_REGEX_POSITIONS_MAX + 1));
        free(regex);
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_matches_as_the_system_does),
        cmocka_unit_test(bytes_that_are_no_text_are_bytes),
        cmocka_unit_test(wrong_expressions_are_refused_with_their_place),
        cmocka_unit_test(expression_at_the_maximum_is_taken_and_one_more_is_not),
        cmocka_unit_test(hostile_expressions_end_at_once),
        cmocka_unit_test(work_is_bounded_by_positions_and_bytes_and_can_be_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
