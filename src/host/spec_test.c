// Ports and record sizes: what the specification of a flow is made of.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "host/host.h"

static tv_module_info two_ports(void) {
    tv_module_info info = {.port_count = 2, .max_output_bytes = 1000};
    strcpy(info.ports[0], "out");
    strcpy(info.ports[1], "alerts");
    return info;
}

static void port_without_name_is_the_first(void **state) {
    (void)state;
    tv_module_info info = two_ports();
    uint16_t index = 99;
    assert_true(tv_host_port_resolve(&info, NULL, &index));
    assert_int_equal(index, 0);
}

static void port_is_found_by_name_and_by_number(void **state) {
    (void)state;
    tv_module_info info = two_ports();
    uint16_t index = 99;
    assert_true(tv_host_port_resolve(&info, "alerts", &index));
    assert_int_equal(index, 1);
    index = 99;
    assert_true(tv_host_port_resolve(&info, "1", &index));
    assert_int_equal(index, 1);
}

static void unknown_port_is_refused_and_leaves_the_index(void **state) {
    (void)state;
    tv_module_info info = two_ports();
    uint16_t index = 99;
    static const char *const wrong[] = {"2", "alert", "", "-1", "1x", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(tv_host_port_resolve(&info, wrong[i], &index));
    assert_int_equal(index, 99);
}

static void component_without_ports_has_no_first(void **state) {
    (void)state;
    tv_module_info info = {0};
    uint16_t index = 99;
    assert_false(tv_host_port_resolve(&info, NULL, &index));
}

static void largest_record_has_room_for_header_attributes_and_padding(void **state) {
    (void)state;
    tv_module_info info = {.max_output_bytes = 1001};
    assert_int_equal(tv_host_record_bytes(&info), 48 + 4096 + 1008);
}

static void largest_record_stays_within_the_limit(void **state) {
    (void)state;
    tv_module_info info = {.max_output_bytes = UINT32_MAX};
    assert_int_equal(tv_host_record_bytes(&info), TV_RECORD_BYTES_LIMIT);
    info.max_output_bytes = TV_RECORD_BYTES_LIMIT;
    assert_int_equal(tv_host_record_bytes(&info), TV_RECORD_BYTES_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_without_name_is_the_first),
        cmocka_unit_test(port_is_found_by_name_and_by_number),
        cmocka_unit_test(unknown_port_is_refused_and_leaves_the_index),
        cmocka_unit_test(component_without_ports_has_no_first),
        cmocka_unit_test(largest_record_has_room_for_header_attributes_and_padding),
        cmocka_unit_test(largest_record_stays_within_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
