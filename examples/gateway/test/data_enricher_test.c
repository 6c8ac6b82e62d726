// data-enricher: the table and its bad rows, calibration, unknown devices.
#include "gateway_test.h"

static tv_harness *start(const char *table, const char *lines) {
    tv_harness *harness = open_component("data-enricher");
    configure(harness, lines);
    tv_harness_asset(harness, "devices.csv", table, strlen(table));
    assert_int_equal(tv_harness_start(harness), 0);
    return harness;
}

static const reading *enrich(tv_harness *h, const char *device, const char *metric, double value) {
    reading_buffer r;
    uint64_t key = make_reading(&r, device, metric, value);
    tv_harness_clear(h);
    tv_harness_feed(h, T0_NS, key, &r, reading_bytes(&r.head));
    tv_harness_run(h);
    assert_int_equal(tv_harness_output_count(h), 1);
    assert_int_equal(tv_harness_output_at(h, 0)->event_time_ns, T0_NS);
    assert_true(tv_harness_output_at(h, 0)->key == key);
    assert_int_equal(tv_harness_output_at(h, 0)->payload_bytes, reading_bytes(reading_at(h, 0)));
    return reading_at(h, 0);
}

static void same_text(tv_string text, const char *expected) {
    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.bytes, expected, text.length);
}

static void row_adds_site_unit_value_and_tags(void **state) {
    (void)state;
    tv_harness *h = start("device,metric,site,unit,scale,offset,line,model\r\n"
                          "press-1,t,\"Hall A, north\",degC,0.5,-10,line-1,\"PX \"\"150\"\"\"\r\n",
                          "");
    const reading *r = enrich(h, "press-1", "t", 100);
    assert_true(r->value == 40 && r->raw == 100);
    assert_int_equal(r->flags, READING_CALIBRATED);
    same_text(reading_device(r), "press-1");
    same_text(reading_metric(r), "t");
    same_text(reading_site(r), "Hall A, north");
    same_text(reading_unit(r), "degC");
    same_text(reading_tags(r), "\"line\":\"line-1\",\"model\":\"PX \\\"150\\\"\"");
    tv_harness_close(h);
}

static void row_without_metric_is_for_all_of_the_device(void **state) {
    (void)state;
    tv_harness *h = start("device,metric,unit\nd,,all\nd,t,one\n", "");
    same_text(reading_unit(enrich(h, "d", "t", 1)), "one");
    same_text(reading_unit(enrich(h, "d", "other", 1)), "all");
    tv_harness_close(h);
}

static void byte_order_mark_comments_and_blank_lines_are_skipped(void **state) {
    (void)state;
    tv_harness *h = start("\xef\xbb\xbf"
                          "device,unit\n\n# pumps\nd,bar",
                          "");
    same_text(reading_unit(enrich(h, "d", "t", 1)), "bar");
    assert_int_equal(tv_harness_counter(h, "bad_rows"), 0);
    tv_harness_close(h);
}

static void bad_rows_are_named_with_their_line(void **state) {
    (void)state;
    const char *table = "device,unit,scale\n"
                        "a,bar,1\n"
                        "b,bar\n"
                        ",bar,1\n"
                        "c,bar,twice\n"
                        "d,\"bar,1\n"
                        "a,psi,1\n"
                        "e,a unit of far too many bytes,1\n"
                        "f,bar,2\n";
    tv_harness *h = start(table, "");
    const char *log = tv_harness_log(h);
    assert_non_null(strstr(log, "devices.csv:3: another number of cells than the header"));
    assert_non_null(strstr(log, "devices.csv:4: no device"));
    assert_non_null(strstr(log, "devices.csv:5: scale or offset is no finite number"));
    assert_non_null(strstr(log, "devices.csv:6: quote is not closed"));
    assert_non_null(strstr(log, "devices.csv:7: this device and metric stand there before"));
    assert_non_null(strstr(log, "devices.csv:8: site, unit or tags are too long"));
    assert_int_equal(tv_harness_counter(h, "bad_rows"), 6);
    assert_true(enrich(h, "f", "t", 3)->value == 6);
    same_text(reading_unit(enrich(h, "a", "t", 3)), "bar");
    tv_harness_close(h);
}

static void unknown_devices_pass_unchanged(void **state) {
    (void)state;
    tv_harness *h = start("device\nd\n", "unknown=pass");
    const reading *r = enrich(h, "visitor", "t", 7);
    assert_int_equal(r->flags, 0);
    assert_true(r->value == 7);
    assert_int_equal(tv_harness_counter(h, "unknown_devices"), 1);
    tv_harness_close(h);
}

static void unknown_devices_are_dropped_or_rejected(void **state) {
    (void)state;
    tv_harness *h = start("device\nd\n", "unknown=drop");
    feed_reading(h, T0_NS, "visitor", 1);
    tv_harness_run(h);
    assert_int_equal(tv_harness_output_count(h) + tv_harness_reject_count(h), 0);
    assert_int_equal(tv_harness_counter(h, "unknown_devices"), 1);
    assert_int_equal(tv_harness_counter(h, "dropped_unknown"), 1);
    tv_harness_close(h);
    h = start("device\nd\n", "unknown=dead-letter");
    feed_reading(h, T0_NS, "visitor", 1);
    tv_harness_run(h);
    assert_int_equal(tv_harness_reject_count(h), 1);
    assert_string_equal(tv_harness_reject_at(h, 0)->reason, "device \"visitor\" (metric \"t\") is not in devices.csv");
    tv_harness_close(h);
}

static void a_reading_without_value_is_not_calibrated(void **state) {
    (void)state;
    reading_buffer empty;
    tv_harness *h = start("device,site,scale,offset\nd,hall,2,10\n", "");
    uint64_t key = make_reading(&empty, "d", "t", 0);
    empty.head.flags = READING_EMPTY;
    empty.head.quality = QUALITY_BAD;
    tv_harness_feed(h, T0_NS, key, &empty, reading_bytes(&empty.head));
    tv_harness_run(h);
    const reading *r = reading_at(h, 0);
    assert_int_equal(r->flags, READING_EMPTY);
    assert_true(r->value == 0 && r->quality == QUALITY_BAD);
    same_text(reading_site(r), "hall");
    tv_harness_close(h);
}

static void what_overflows_in_calibration_is_bad_and_counted(void **state) {
    (void)state;
    tv_harness *h = start("device,scale\nd,1e300\n", "");
    const reading *r = enrich(h, "d", "t", 1e300);
    assert_true(r->value == 0 && r->raw == 1e300);
    assert_int_equal(r->flags, READING_CALIBRATED | READING_EMPTY);
    assert_int_equal(r->quality, QUALITY_BAD);
    assert_int_equal(tv_harness_counter(h, "not_finite"), 1);
    tv_harness_close(h);
}

static void bad_configuration_is_named(void **state) {
    (void)state;
    expect_init_failure("data-enricher", "", "table");
    expect_init_failure("data-enricher", "unknown=explode", "unknown");
    tv_harness *h = open_component("data-enricher");
    tv_harness_asset(h, "devices.csv", "name,unit\n", 10);
    assert_true(tv_harness_start(h) < 0);
    assert_non_null(strstr(tv_harness_log(h), "devices.csv:1: a header with a column \"device\" is expected"));
    tv_harness_close(h);
    h = open_component("data-enricher");
    tv_harness_config(h, "bad_rows", "fail");
    tv_harness_asset(h, "devices.csv", "device,scale\nd,x\n", 17);
    assert_true(tv_harness_start(h) < 0);
    tv_harness_close(h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_adds_site_unit_value_and_tags),
        cmocka_unit_test(row_without_metric_is_for_all_of_the_device),
        cmocka_unit_test(byte_order_mark_comments_and_blank_lines_are_skipped),
        cmocka_unit_test(bad_rows_are_named_with_their_line),
        cmocka_unit_test(unknown_devices_pass_unchanged),
        cmocka_unit_test(unknown_devices_are_dropped_or_rejected),
        cmocka_unit_test(a_reading_without_value_is_not_calibrated),
        cmocka_unit_test(what_overflows_in_calibration_is_bad_and_counted),
        cmocka_unit_test(bad_configuration_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
