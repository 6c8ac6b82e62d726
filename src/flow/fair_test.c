// The shares alone: turns that cost what the test says, without flows.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/fair.h"

#define US_NS 1000ll
#define MS_NS 1000000ll

static const uint32_t quanta[TV_CLASS_COUNT] = {128, 64, 32, 8};

typedef struct had {
    uint64_t records;
    int64_t ns, longest_wait_ns, waited_since_ns;
} had;

static tv_fair fair;
static had classes[TV_CLASS_COUNT];
static int64_t now_ns;

static int setup(void **state) {
    (void)state;
    fair = (tv_fair){0};
    now_ns = 0;
    for (int i = 0; i < TV_CLASS_COUNT; i++)
        classes[i] = (had){0};
    return 0;
}

// A turn of the class that is due: a quantum, or what 2 ms allow, at least one record.
static void turn(const int64_t *cost_ns) {
    tv_class class = tv_fair_due(&fair);
    assert_true(class < TV_CLASS_COUNT);
    int64_t records = tv_fair_is_hungry(&fair, class) ? 1 : 2 * MS_NS / cost_ns[class];
    records = records < 1 ? 1 : records > quanta[class] ? quanta[class] : records;
    had *it = &classes[class];
    if (now_ns - it->waited_since_ns > it->longest_wait_ns) it->longest_wait_ns = now_ns - it->waited_since_ns;
    now_ns += records * cost_ns[class];
    it->waited_since_ns = now_ns;
    it->records += (uint64_t)records;
    it->ns += records * cost_ns[class];
    tv_fair_charge(&fair, class, records * cost_ns[class], (uint32_t)records);
}

static void run(const int64_t *cost_ns, int64_t for_ns) {
    for (int64_t end_ns = now_ns + for_ns; now_ns < end_ns;)
        turn(cost_ns);
}

static void join_all(void) {
    for (int i = 0; i < TV_CLASS_COUNT; i++)
        tv_fair_join(&fair, (tv_class)i, quanta[i]);
}

static void assert_ratio(double many, double few, double wanted) {
    assert_true(many >= few * wanted * 0.97 && many <= few * wanted * 1.03);
}

static void equal_costs_give_exact_shares_of_records(void **state) {
    (void)state;
    static const int64_t cost_ns[] = {5 * US_NS, 5 * US_NS, 5 * US_NS, 5 * US_NS};
    join_all();
    run(cost_ns, 10000 * MS_NS);
    for (int i = 1; i < TV_CLASS_COUNT; i++)
        assert_ratio((double)classes[0].records, (double)classes[i].records, quanta[0] / (double)quanta[i]);
    assert_true(fair.cycles > 100);
}

// Small quanta feel what a turn costs beside its records: the records are the same all the same.
static void costs_that_hardly_differ_are_equal(void **state) {
    (void)state;
    static const int64_t cost_ns[] = {100, 105, 110, 120};
    join_all();
    run(cost_ns, 1000 * MS_NS);
    for (int i = 1; i < TV_CLASS_COUNT; i++)
        assert_ratio((double)classes[0].records, (double)classes[i].records, quanta[0] / (double)quanta[i]);
}

static void dearer_records_of_lower_classes_give_shares_of_time(void **state) {
    (void)state;
    static const int64_t cost_ns[] = {5 * US_NS, 50 * US_NS, MS_NS, 10 * MS_NS};
    join_all();
    run(cost_ns, 20000 * MS_NS);
    for (int i = 1; i < TV_CLASS_COUNT; i++)
        assert_ratio((double)classes[0].ns, (double)classes[i].ns, quanta[0] / (double)quanta[i]);
}

static void dearer_records_of_higher_classes_give_shares_of_records(void **state) {
    (void)state;
    static const int64_t cost_ns[] = {4 * MS_NS, MS_NS, 50 * US_NS, 5 * US_NS};
    join_all();
    run(cost_ns, 60000 * MS_NS);
    for (int i = 1; i < TV_CLASS_COUNT; i++)
        assert_ratio((double)classes[0].records, (double)classes[i].records, quanta[0] / (double)quanta[i]);
}

// H is dearer than N, and both are dearer than C, which gets its time: what H and N owe each other stays.
static void pairs_keep_their_shares_beside_a_third(void **state) {
    (void)state;
    static const int64_t cost_ns[] = {5 * US_NS, 2 * MS_NS, 200 * US_NS, MS_NS};
    join_all();
    run(cost_ns, 60000 * MS_NS);
    assert_ratio((double)classes[TV_CLASS_HIGH].records, (double)classes[TV_CLASS_NORMAL].records, 2);
    assert_true(classes[TV_CLASS_CRITICAL].ns >= 2 * classes[TV_CLASS_HIGH].ns * 97 / 100);
}

static void every_class_has_turns_within_a_second(void **state) {
    (void)state;
    static const int64_t costs[] = {5 * US_NS, 500 * US_NS, 4 * MS_NS};
    for (int mix = 0; mix < 81; mix++) {
        int64_t cost_ns[TV_CLASS_COUNT] = {costs[mix % 3], costs[mix / 3 % 3], costs[mix / 9 % 3], costs[mix / 27]};
        (void)setup(NULL);
        join_all();
        run(cost_ns, 5000 * MS_NS);
        for (int i = 0; i < TV_CLASS_COUNT; i++)
            assert_in_range(classes[i].longest_wait_ns, 0, 1000 * MS_NS);
    }
}

static void class_that_returns_has_ten_milliseconds_of_credit(void **state) {
    (void)state;
    static const int64_t cost_ns[] = {20 * US_NS, 20 * US_NS, 20 * US_NS, 20 * US_NS};
    tv_fair_join(&fair, TV_CLASS_NORMAL, quanta[TV_CLASS_NORMAL]);
    run(cost_ns, 60000 * MS_NS);
    tv_fair_join(&fair, TV_CLASS_CRITICAL, quanta[TV_CLASS_CRITICAL]);
    int64_t normal_ns = classes[TV_CLASS_NORMAL].ns;
    run(cost_ns, 50 * MS_NS);
    assert_in_range(classes[TV_CLASS_NORMAL].ns - normal_ns, 6 * MS_NS, 12 * MS_NS);
}

static void class_that_left_does_not_pay_for_time_that_nobody_wanted(void **state) {
    (void)state;
    static const int64_t cost_ns[] = {20 * US_NS, 20 * US_NS, 20 * US_NS, 20 * US_NS};
    tv_fair_join(&fair, TV_CLASS_NORMAL, quanta[TV_CLASS_NORMAL]);
    run(cost_ns, 60000 * MS_NS);
    tv_fair_leave(&fair, TV_CLASS_NORMAL, quanta[TV_CLASS_NORMAL]);
    assert_int_equal(tv_fair_due(&fair), TV_CLASS_COUNT);
    tv_fair_rest(&fair);
    tv_fair_join(&fair, TV_CLASS_CRITICAL, quanta[TV_CLASS_CRITICAL]);
    tv_fair_join(&fair, TV_CLASS_NORMAL, quanta[TV_CLASS_NORMAL]);
    int64_t normal_ns = classes[TV_CLASS_NORMAL].ns;
    run(cost_ns, 50 * MS_NS);
    assert_in_range(classes[TV_CLASS_NORMAL].ns - normal_ns, 6 * MS_NS, 12 * MS_NS);
}

static void critical_class_preempts_while_it_is_behind(void **state) {
    (void)state;
    static const int64_t cost_ns[] = {5 * US_NS, 0, 0, 0};
    assert_false(tv_fair_preempts(&fair, TV_CLASS_NORMAL));
    tv_fair_join(&fair, TV_CLASS_NORMAL, quanta[TV_CLASS_NORMAL]);
    tv_fair_join(&fair, TV_CLASS_CRITICAL, quanta[TV_CLASS_CRITICAL]);
    while (tv_fair_due(&fair) == TV_CLASS_CRITICAL)
        turn(cost_ns);
    assert_false(tv_fair_preempts(&fair, TV_CLASS_NORMAL));
    tv_fair_charge(&fair, TV_CLASS_NORMAL, 3 * MS_NS, 0); // by the third tick of its call
    assert_true(tv_fair_preempts(&fair, TV_CLASS_NORMAL));
    int64_t critical_ns = classes[TV_CLASS_CRITICAL].ns;
    while (tv_fair_preempts(&fair, TV_CLASS_NORMAL))
        turn(cost_ns);
    assert_in_range(classes[TV_CLASS_CRITICAL].ns - critical_ns, 8 * MS_NS, 14 * MS_NS);
}

#define fair_case(function) cmocka_unit_test_setup(function, setup)
int main(void) {
    const struct CMUnitTest tests[] = {
        fair_case(equal_costs_give_exact_shares_of_records),
        fair_case(costs_that_hardly_differ_are_equal),
        fair_case(dearer_records_of_lower_classes_give_shares_of_time),
        fair_case(dearer_records_of_higher_classes_give_shares_of_records),
        fair_case(pairs_keep_their_shares_beside_a_third),
        fair_case(every_class_has_turns_within_a_second),
        fair_case(class_that_returns_has_ten_milliseconds_of_credit),
        fair_case(class_that_left_does_not_pay_for_time_that_nobody_wanted),
        fair_case(critical_class_preempts_while_it_is_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
