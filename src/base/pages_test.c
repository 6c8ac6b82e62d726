// Giving pages back: whole ones, counted, zero afterwards.
#include "base/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static void whole_pages_that_were_used_are_given_back(void **state) {
    (void)state;
    enum { PAGES = 1200 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *memory = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(tv_pages_give_back(memory, PAGES * page), 0); // nothing was touched
    memset(memory, 1, 4 * page);
    memory[1100 * page] = 1;
    assert_int_equal(tv_pages_give_back(memory + 1, 2 * page), page); // one whole page lies in it
    assert_int_equal(memory[page - 1], 1);
    assert_int_equal(memory[page], 0);
    assert_int_equal(memory[2 * page], 1);
    assert_int_equal(tv_pages_give_back(memory, 10), 0);
    assert_int_equal(memory[0], 1);
    assert_int_equal(tv_pages_give_back(memory, PAGES * page), 5 * page); // one of them by the look at it above
    assert_int_equal(memory[1100 * page], 0);
    munmap(memory, PAGES * page);
}

static void bytes_are_rounded_up_to_whole_pages(void **state) {
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(tv_pages_round(0), 0);
    assert_int_equal(tv_pages_round(1), page);
    assert_int_equal(tv_pages_round(page), page);
    assert_int_equal(tv_pages_round(page + 1), 2 * page);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole_pages_that_were_used_are_given_back),
                                       cmocka_unit_test(bytes_are_rounded_up_to_whole_pages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
