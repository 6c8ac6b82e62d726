// sensor-source: what rows of CSV become, and which header they belong to.
#include "source_test.h"

static tv_harness *start(const char *lines) {
    char whole[1024];
    snprintf(whole, sizeof whole, "format=csv\n%s", lines);
    return start_component("sensor-source", whole);
}

static void expect_header(tv_harness *h, const char *line) {
    feed_line(h, line);
    if (tv_harness_reject_count(h) > 0) fail_msg("%s", tv_harness_reject_at(h, 0)->reason);
    assert_int_equal(reading_count(h), 0);
}

static void cells_are_numbers_as_loggers_write_them(void **state) {
    (void)state;
    static const struct {
        const char *cell;
        double value;
    } cells[] = {
        {".5", 0.5},
        {"5.", 5},
        {"007", 7},
        {"-.25", -0.25},
        {"true", 1},
        {"FALSE", 0},
        {"0021.50", 21.5},
        {"+3", 3},
        {"+.5e1", 5},
        {"1e3", 1000},
        {"-0", 0},
        {" 4 ", 4},
        {"\"5\"", 5},
        {"\"6\" ", 6},
        {"00", 0},
        {"-007.250", -7.25},
        {"1E-3", 0.001},
        {"5.e2", 500},
        {"9007199254740993", 9007199254740992.0},
    };
    static const char *const wrong[] = {"1e400", "x",  "1.2.3", "--1", "+-1",   "0x10", "1,5", ".",  "-",
                                        "+",     "e5", "1e",    "nan", "1 000", "5 %",  "1_0", ".e5"};
    tv_harness *h = start("csv.separator=;\ndevice=d");
    expect_header(h, "time;value");
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        char line[128];
        snprintf(line, sizeof line, "1772323200;%s", cells[i].cell);
        feed_line(h, line);
        EXPECT_READINGS(h, {"d/", cells[i].value, T0_NS});
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char line[128], reason[128];
        snprintf(line, sizeof line, "1772323200;%s", wrong[i]);
        snprintf(reason, sizeof reason, "field \"value\" at byte 11 is no finite number: %s", wrong[i]);
        feed_line(h, line);
        expect_rejected(h, reason);
    }
    tv_harness_close(h);
}

static void decimal_commas_group_by_points(void **state) {
    (void)state;
    static const struct {
        const char *cell;
        double value;
    } cells[] = {{"21,5", 21.5},      {"\"1.021,5\"", 1021.5}, {"1.234.567,25", 1234567.25},
                 {"1.021", 1021},     {"-,5", -0.5},           {"5,", 5},
                 {"1 021,5", 1021.5}, {"1'021", 1021},         {"-1.021,5", -1021.5},
                 {"0,0001", 0.0001},  {"1,5e3", 1500},         {"7", 7}};
    static const char *const wrong[] = {"21.5",   "1.02,5", "1.0215",  "1,5,5", "1021.500",
                                        "1..021", ".021",   "1.021.5", ","};
    tv_harness *h = start("csv.separator=;\ncsv.decimal=,\ndevice=d");
    expect_header(h, "time;value");
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        char line[128];
        snprintf(line, sizeof line, "1772323200;%s", cells[i].cell);
        feed_line(h, line);
        EXPECT_READINGS(h, {"d/", cells[i].value, T0_NS});
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char line[128];
        snprintf(line, sizeof line, "1772323200;%s", wrong[i]);
        feed_line(h, line);
        if (tv_harness_reject_count(h) != 1) fail_msg("%s", line);
    }
    feed_line(h, "1772323200,25;1");
    EXPECT_READINGS(h, {"d/", 1, T0_NS + 250000000});
    tv_harness_close(h);
}

static void columns_become_metrics(void **state) {
    (void)state;
    tv_harness *h = start("fields.values=*\nfields.time=Timestamp\ndevice=plc\nmetric=unused");
    expect_header(h, "Timestamp,T00,note,\"T,01\",");
    feed_line(h, "2026-03-01 00:00:00,20.0,ok,21,5");
    EXPECT_READINGS(h, {"plc/T00", 20, T0_NS}, {"plc/T,01", 21, T0_NS});
    feed_line(h, "2026-03-01 00:00:00,,true,2x.1,");
    expect_rejected(h, "no number but in the fields that are none");
    assert_int_equal(tv_harness_counter(h, "nulls_skipped"), 1);
    assert_int_equal(tv_harness_counter(h, "others_skipped"), 3);
    tv_harness_close(h);
    h = start("fields.values=[]\nfields.values.length=2\nfields.values.0=a.b\nfields.values.1=c\ndevice=d");
    expect_header(h, "c,time,a.b");
    feed_line(h, "1,1772323200,2");
    EXPECT_READINGS(h, {"d/a.b", 2, T0_NS}, {"d/c", 1, T0_NS});
    feed_line(h, ",1772323200,2");
    EXPECT_READINGS(h, {"d/a.b", 2, T0_NS});
    feed_line(h, "x,1772323200,2");
    expect_rejected(h, "field \"c\" at byte 0 is no finite number: x");
    tv_harness_close(h);
}

// `columns` cells, the first three of which are wanted.
static void wide_line(char *out, size_t capacity, const char *first, unsigned columns, char letter) {
    int length = snprintf(out, capacity, "%s", first);
    for (unsigned i = 3; i < columns; i++)
        length += snprintf(out + length, capacity - (size_t)length, ",%c%u", letter, i);
}

static void cells_behind_the_last_wanted_one_need_no_room(void **state) {
    (void)state;
    static char line[32768];
    for (unsigned columns = 70; columns <= 3000; columns *= 6) {
        wide_line(line, sizeof line, "time,device,value", columns, 'c');
        tv_harness *fresh = start("");
        expect_header(fresh, line);
        wide_line(line, sizeof line, "1772323200,d,1", columns, '0');
        feed_line(fresh, line);
        EXPECT_READINGS(fresh, {"d/", 1, T0_NS});
        tv_harness_close(fresh);
    }
    tv_harness *h = start("fields.values=*");
    wide_line(line, sizeof line, "time,device,value", 1024, 'c');
    expect_header(h, line);
    wide_line(line, sizeof line, "1772323200,d,1", 1024, '0');
    feed_line(h, line);
    assert_int_equal(reading_count(h), 1022);
    tv_harness_close(h);
    h = start("fields.values=*");
    wide_line(line, sizeof line, "time,device,value", 1025, 'c');
    feed_line(h, line);
    expect_rejected(h, "more than 1024 columns at byte 0");
    tv_harness_close(h);
}

static void a_row_longer_than_its_header_is_not_guessed_at(void **state) {
    (void)state;
    tv_harness *h = start("device=d");
    expect_header(h, "time,value");
    feed_line(h, "1772323200,21,5"); // a decimal comma that nobody configured
    expect_rejected(h, "3 cells, but the header has 2 columns");
    feed_line(h, "1772323200,21,");
    EXPECT_READINGS(h, {"d/", 21, T0_NS});
    feed_line(h, "1772323200");
    expect_rejected(h, "no field \"value\"");
    tv_harness_close(h);
}

static void a_row_without_a_wanted_cell_is_not_guessed_at(void **state) {
    (void)state;
    tv_harness *h = start("fields.metric=metric");
    expect_header(h, "device,time,value,metric");
    feed_line(h, "d,1772323200,3,t");
    EXPECT_READINGS(h, {"d/t", 3, T0_NS});
    feed_line(h, "d,1772323200,4");
    expect_rejected(h, "3 cells, but a column behind them is wanted");
    tv_harness_close(h);
}

// ---- the header belongs to the file -------------------------------------------------------------------------

static void a_header_in_the_middle_counts_from_there_on(void **state) {
    (void)state;
    tv_harness *h = start("");
    expect_header(h, "time,device,value");
    feed_line(h, "1772323200,d,1");
    EXPECT_READINGS(h, {"d/", 1, T0_NS});
    expect_header(h, "time,device,value");
    expect_header(h, "device,extra,value,time");
    feed_line(h, "d,9,2,1772323200");
    EXPECT_READINGS(h, {"d/", 2, T0_NS});
    expect_header(h, "value,time,device");
    feed_line(h, "3,1772323200,d");
    EXPECT_READINGS(h, {"d/", 3, T0_NS});
    assert_int_equal(tv_harness_counter(h, "header_lines"), 4);
    tv_harness_close(h);
}

static void rows_under_a_header_that_lacks_a_column_are_not_read(void **state) {
    (void)state;
    tv_harness *h = start("");
    expect_header(h, "time,value,device");
    feed_line(h, "time,humidity,device");
    expect_rejected(h, "header has no column \"value\" (3 columns)");
    feed_line(h, "1772323200,55,d"); // is no value
    expect_rejected(h, "header has no column \"time\" (3 columns)");
    expect_header(h, "time,value,device");
    feed_line(h, "1772323200,5,d");
    EXPECT_READINGS(h, {"d/", 5, T0_NS});
    feed_line(h, "time,value,device,value");
    expect_rejected(h, "header has two columns \"value\"");
    tv_harness_close(h);
}

static void a_new_file_has_columns_of_its_own(void **state) {
    (void)state;
    tv_harness *h = start("");
    feed_marked(h, "\xef\xbb\xbf\"time\",value,device", "begin", NULL);
    assert_int_equal(tv_harness_reject_count(h), 0);
    feed_line(h, "1772323200,1,d");
    EXPECT_READINGS(h, {"d/", 1, T0_NS});
    feed_marked(h, "device,time,value", "begin", NULL);
    assert_int_equal(tv_harness_reject_count(h), 0);
    feed_line(h, "d,1772323200,2");
    EXPECT_READINGS(h, {"d/", 2, T0_NS});
    feed_marked(h, "d,1772323200,3", "begin", NULL); // goes on without a header
    EXPECT_READINGS(h, {"d/", 3, T0_NS});
    assert_int_equal(tv_harness_counter(h, "headerless_files"), 1);
    feed_marked(h, "a,b,c", "begin", NULL);
    expect_rejected(h, "header has no column \"time\" (3 columns)");
    feed_line(h, "d,1772323200,4"); // of which columns?
    expect_rejected(h, "header has no column \"time\" (3 columns)");
    tv_harness_close(h);
}

static void a_file_begun_at_its_end_has_the_header_of_its_first_line(void **state) {
    (void)state;
    tv_harness *h = start("encoding=latin1\nfields.values=*");
    feed_marked(h, "5,1772323200,d", "middle", "\xef\xbb\xbf\260C,time,device");
    EXPECT_READINGS(h, {"d/\xc2\260C", 5, T0_NS});
    feed_line(h, "6,1772323200,d");
    EXPECT_READINGS(h, {"d/\xc2\260C", 6, T0_NS});
    tv_harness_close(h);
    h = start("");
    feed_marked(h, "5,1772323200,d", "middle", NULL); // too long a line for an attribute
    expect_rejected(h, "the file was begun in its middle, and its header is not known (see csv.columns)");
    feed_marked(h, "value,time,device", "begin", NULL);
    feed_line(h, "5,1772323200,d");
    EXPECT_READINGS(h, {"d/", 5, T0_NS});
    feed_marked(h, "5,1772323200,d", "middle", "1,1772323100,d"); // a file without header
    expect_rejected(h, "the file was begun in its middle, and its header is not known (see csv.columns)");
    tv_harness_close(h);
    h = start("fields.values=*\ntime.missing=arrival\ndevice=d");
    feed_marked(h, "5,6", "middle", NULL); // would make fine column names
    expect_rejected(h, "the file was begun in its middle, and its header is not known (see csv.columns)");
    tv_harness_close(h);
}

static void configured_columns_hold_for_all_files(void **state) {
    (void)state;
    tv_harness *h = start("csv.columns.length=3\ncsv.columns.0=device\ncsv.columns.1=time\ncsv.columns.2=value");
    feed_marked(h, "d,1772323200,1", "middle", "x,y,z");
    EXPECT_READINGS(h, {"d/", 1, T0_NS});
    feed_marked(h, "device,time,value", "begin", NULL);
    assert_int_equal(tv_harness_reject_count(h), 0);
    assert_int_equal(tv_harness_counter(h, "header_lines"), 1);
    feed_line(h, "d,1772323200,2,of no name");
    EXPECT_READINGS(h, {"d/", 2, T0_NS});
    tv_harness_close(h);
}

static void inputs_have_headers_of_their_own(void **state) {
    (void)state;
    tv_harness *h = start("");
    static const char *const lines[][2] = {{"time,value,device", "1772323200,1,a"},
                                           {"device,value,time", "b,2,1772323200"}};
    for (unsigned row = 0; row < 2; row++) {
        for (unsigned port = 0; port < 2; port++) {
            tv_harness_input(h, (uint16_t)port);
            feed_line(h, lines[port][row]);
            if (row == 0) {
                assert_int_equal(tv_harness_reject_count(h), 0);
            } else if (port == 0) {
                EXPECT_READINGS(h, {"a/", 1, T0_NS});
            } else {
                EXPECT_READINGS(h, {"b/", 2, T0_NS});
            }
        }
    }
    tv_harness_close(h);
}

static void a_column_of_times_may_be_missing_when_arrival_counts(void **state) {
    (void)state;
    tv_harness *h = start("time.missing=arrival\ndevice=d");
    tv_harness_set_clock(h, T0_NS, 0);
    expect_header(h, "note,value");
    feed_line(h, "x,1");
    EXPECT_READINGS(h, {"d/", 1, T0_NS});
    expect_header(h, "value,note");
    feed_line(h, "2,x");
    EXPECT_READINGS(h, {"d/", 2, T0_NS});
    expect_header(h, "time,value");
    feed_line(h, "1772323201,3");
    EXPECT_READINGS(h, {"d/", 3, T0_NS + SECOND_NS});
    feed_line(h, ",4");
    EXPECT_READINGS(h, {"d/", 4, T0_NS});
    tv_harness_close(h);
}

// ---- bytes --------------------------------------------------------------------------------------------------

static void names_that_are_not_utf_8_never_become_one_name(void **state) {
    (void)state;
    tv_harness *h = start("");
    expect_header(h, "time,device,value,Temp [\260C]"); // nobody asks for that column
    feed_line(h, "1772323200,caf\xe9,1,2");
    expect_rejected(h, "field \"device\" at byte 11 is not UTF-8, or has broken escapes (see `encoding`)");
    feed_line(h, "1772323200,d,1,\xb0");
    EXPECT_READINGS(h, {"d/", 1, T0_NS});
    tv_harness_close(h);
    h = start("encoding=latin1");
    expect_header(h, "time,device,value");
    feed_line(h, "1772323200,caf\xe9,1");
    EXPECT_READINGS(h, {"caf\xc3\xa9/", 1, T0_NS});
    feed_line(h, "1772323200,caf\xe8,1");
    EXPECT_READINGS(h, {"caf\xc3\xa8/", 1, T0_NS});
    tv_harness_close(h);
    h = start("fields.values=*");
    feed_line(h, "time,device,\260C");
    expect_rejected(h, "header has a name that is not UTF-8 (see `encoding`) \"\260C\"");
    tv_harness_close(h);
}

static void a_wrong_separator_is_told(void **state) {
    (void)state;
    tv_harness *h = start("csv.separator=;\ndevice=d");
    feed_line(h, "time,value");
    expect_rejected(h, "header has no column \"time\" (1 columns; is csv.separator right?)");
    expect_header(h, "sep=;"); // of a spreadsheet
    expect_header(h, "time;value");
    feed_line(h, "1772323200;1");
    EXPECT_READINGS(h, {"d/", 1, T0_NS});
    feed_marked(h, "sep=;", "begin", NULL);
    expect_header(h, "value;time");
    feed_line(h, "2;1772323200");
    EXPECT_READINGS(h, {"d/", 2, T0_NS});
    tv_harness_close(h);
}

static void lines_that_are_none_say_so(void **state) {
    (void)state;
    tv_harness *h = start("device=d");
    feed_line(h, "time,value\r1772323200,1\r1772323201,2\r"); // ends of lines of old systems
    expect_rejected(h, "carriage return within the line (lines must end with a line feed) at byte 10");
    expect_header(h, "time,value\r\r");
    tv_harness_clear(h);
    tv_harness_feed(h, TV_NO_EVENT_TIME, 0, "1772323200,\0001\0", 14);
    tv_harness_run(h);
    expect_rejected(h, "NUL (UTF-16 text must be converted to UTF-8) at byte 11");
    tv_harness_clear(h);
    tv_harness_feed(h, TV_NO_EVENT_TIME, 0, "\xfe\xff\0t", 4);
    tv_harness_run(h);
    expect_rejected(h, "the text is UTF-16 or UTF-32, not UTF-8: convert it before");
    feed_line(h, " \t ");
    assert_int_equal(tv_harness_counter(h, "blank_lines"), 1);
    feed_line(h, "1772323200,\"1");
    expect_rejected(h, "quote is not closed at byte 11");
    feed_line(h, "1772323200,\"1\"x");
    expect_rejected(h, "text behind a quoted cell at byte 14");
    tv_harness_close(h);
}

static void dates_of_loggers_need_a_format(void **state) {
    (void)state;
    tv_harness *h = start("time.format=[]\ntime.format.length=2\ntime.format.0=%d.%m.%Y %H:%M:%S\n"
                          "time.format.1=%d-%b-%y %I:%M %p\ndevice=d\ntime.zone=Europe/Berlin");
    expect_header(h, "time,value");
    feed_line(h, "01.03.2026 01:00:00,1");
    EXPECT_READINGS(h, {"d/", 1, T0_NS});
    feed_line(h, "01-Mar-26 1:00 AM,2");
    EXPECT_READINGS(h, {"d/", 2, T0_NS});
    feed_line(h, "2026-03-01T00:00:00Z,3");
    EXPECT_READINGS(h, {"d/", 3, T0_NS});
    feed_line(h, "1772323200,4");
    expect_rejected(h, "field \"time\" at byte 0 is no time: 1772323200");
    tv_harness_close(h);
    h = start("fields.time=[]\nfields.time.length=2\nfields.time.0=date\nfields.time.1=clock\ntime.format=%d.%m.%Y "
              "%H:%M:%S\ndevice=d");
    expect_header(h, "clock,value,date");
    feed_line(h, "00:00:00,1,01.03.2026");
    EXPECT_READINGS(h, {"d/", 1, T0_NS});
    expect_header(h, "date,clock,value");
    feed_line(h, "01.03.2026,00:00:00,2");
    EXPECT_READINGS(h, {"d/", 2, T0_NS});
    tv_harness_close(h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_are_numbers_as_loggers_write_them),
        cmocka_unit_test(decimal_commas_group_by_points),
        cmocka_unit_test(columns_become_metrics),
        cmocka_unit_test(cells_behind_the_last_wanted_one_need_no_room),
        cmocka_unit_test(a_row_longer_than_its_header_is_not_guessed_at),
        cmocka_unit_test(a_row_without_a_wanted_cell_is_not_guessed_at),
        cmocka_unit_test(a_header_in_the_middle_counts_from_there_on),
        cmocka_unit_test(rows_under_a_header_that_lacks_a_column_are_not_read),
        cmocka_unit_test(a_new_file_has_columns_of_its_own),
        cmocka_unit_test(a_file_begun_at_its_end_has_the_header_of_its_first_line),
        cmocka_unit_test(configured_columns_hold_for_all_files),
        cmocka_unit_test(inputs_have_headers_of_their_own),
        cmocka_unit_test(a_column_of_times_may_be_missing_when_arrival_counts),
        cmocka_unit_test(names_that_are_not_utf_8_never_become_one_name),
        cmocka_unit_test(a_wrong_separator_is_told),
        cmocka_unit_test(lines_that_are_none_say_so),
        cmocka_unit_test(dates_of_loggers_need_a_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
