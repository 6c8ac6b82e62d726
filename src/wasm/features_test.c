// The list of accepted instructions, pinned (contract 1.1).
#include <string.h>

#include "wasm/test_support.h"

static tv_builder built;
static tv_module_info info;
static tv_error error;

// A component whose `tv_process` has those bytes as code behind its (no) locals.
static void build_body(const uint8_t *code, size_t length) {
    uint8_t content[256] = {3, 2, 0, 0x0b, 5, 0, 0x41, 0x80, 8, 0x0b, (uint8_t)(length + 1), 0};
    memcpy(content + 12, code, length);
    tv_builder_component(&built);
    built.length -= 1 + 5 + 15; // the code section, which is the last
    tv_builder_section(&built, 10, content, 12 + length);
}

static void build_code(const uint8_t *code, size_t length) {
    uint8_t body[64];
    memcpy(body, code, length);
    body[length] = 0x0b; // end
    build_body(body, length + 1);
}

static tv_status inspect(void) {
    memset(&error, 0, sizeof error);
    return tv_module_inspect(built.bytes, built.length, &info, &error);
}

typedef struct code_case {
    uint8_t code[24];
    size_t length;
    const char *message;
} code_case;
#define CODE(message, ...)                                                                                             \
    { {__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), message }

static void refused_instructions_are_named(void **state) {
    (void)state;
    static const code_case cases[] = {
        CODE("threads", 0xfe, 0x03, 0),                               // atomic.fence
        CODE("threads", 0x41, 0, 0xfe, 0x10, 2, 0),                   // i32.atomic.load
        CODE("relaxed SIMD", 0xfd, 0x80, 2),                          // the first
        CODE("relaxed SIMD", 0xfd, 0xaf, 2),                          // the last
        CODE("not in the list", 0xfd, 0xb0, 2),                       // behind the last
        CODE("exceptions", 0x06, 0x40),                               // try
        CODE("exceptions", 0x08, 0),                                  // throw
        CODE("exceptions", 0x0a),                                     // throw_ref
        CODE("exceptions", 0x1f, 0x40, 0),                            // try_table
        CODE("typed function references", 0x20, 0, 0xd2, 2, 0x14, 1), // call_ref
        CODE("typed function references", 0x15, 1),                   // return_call_ref
        CODE("typed function references", 0xd4),                      // ref.as_non_null
        CODE("typed function references", 0xd5, 0),                   // br_on_null
        CODE("typed function references", 0xd6, 0),                   // br_on_non_null
        CODE("typed function references", 0xd0, 1),                   // ref.null of a type
        CODE("typed function references", 0x02, 0x63, 1),             // a block that yields one
        CODE("garbage collection", 0x41, 0, 0xfb, 0x1c),              // ref.i31
        CODE("garbage collection", 0xfb, 0x00, 0),                    // struct.new
        CODE("garbage collection", 0xd3),                             // ref.eq
        CODE("garbage collection", 0xd0, 0x6e),                       // ref.null any
        CODE("externref", 0xd0, 0x6f),                                // ref.null extern
        CODE("externref", 0x1c, 1, 0x6f),                             // select of them
        CODE("more than one memory", 0x41, 0, 0x28, 0x42, 1, 0),      // i32.load of memory 1
        CODE("more than one memory", 0x3f, 1),                        // memory.size of memory 1
        CODE("more than one memory", 0xfc, 0x0a, 0, 1),               // memory.copy between two
        CODE("wide arithmetic", 0xfc, 0x13),                          // i64.add128
        CODE("wide arithmetic", 0xfc, 0x16),                          // i64.mul_wide_u
        CODE("not in the list", 0xfc, 0x12),                          // memory.discard
        CODE("not in the list", 0x27),
        CODE("not in the list", 0xc5),
        CODE("not in the list", 0xff),
        CODE("not in the list", 0xe0, 0), // stack switching
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        build_code(cases[i].code, cases[i].length);
        assert_int_equal(inspect(), TV_UNSUPPORTED);
        if (!strstr(error.message, cases[i].message)) fail_msg("case %zu: %s", i, error.message);
        assert_non_null(strstr(error.message, "function 2"));
    }
}

static void bytes_inside_immediates_are_no_instructions(void **state) {
    (void)state;
    static const code_case cases[] = {
        CODE("", 0x41, 0xfe, 0x00, 0x1a, 0x20, 0),                                  // i32.const
        CODE("", 0x43, 0xfe, 0xfb, 0x06, 0x14, 0x1a, 0x20, 0),                      // f32.const
        CODE("", 0x44, 0xfe, 0xfb, 6, 0x14, 0x15, 0xd4, 0xd5, 0xd6, 0x1a, 0x20, 0), // f64.const
        CODE("", 0x20, 0, 0x28, 2, 0xfe, 1),                                        // offset of a load
        CODE("", 0x20, 0, 0xfd, 0x07, 0, 0xd4, 1, 0xfd, 0x15, 0x0f),                // splat load, lane
        CODE("", 0x02, 0x01, 0x0b),                                                 // block of type 1
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        build_code(cases[i].code, cases[i].length);
        if (inspect() != TV_OK) fail_msg("case %zu: %s", i, error.message);
    }
}

static void code_that_ends_within_an_instruction_is_malformed(void **state) {
    (void)state;
    static const code_case cases[] = {
        CODE("", 0x41), CODE("", 0x44, 1, 2, 3), CODE("", 0xfd, 0x0c, 1, 2, 3), CODE("", 0x0e, 200), CODE("", 0xfc),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        build_body(cases[i].code, cases[i].length);
        assert_int_equal(inspect(), TV_INVALID);
        assert_non_null(strstr(error.message, "malformed"));
    }
}

static void locals_globals_and_segments_are_checked_too(void **state) {
    (void)state;
    tv_builder_component(&built);
    TV_SECTION(&built, 6, 1, 0x63, 1, 0, 0xd0, 1, 0x0b);
    assert_int_equal(inspect(), TV_UNSUPPORTED);
    assert_non_null(strstr(error.message, "global section"));
    tv_builder_component(&built);
    TV_SECTION(&built, 6, 1, 0x7f, 1, 0x41, 7, 0x0b);
    assert_int_equal(inspect(), TV_OK);
    tv_builder_component(&built);
    TV_SECTION(&built, 9, 1, 5, 0x6f, 1, 0xd0, 0x6f, 0x0b);
    assert_int_equal(inspect(), TV_UNSUPPORTED);
    assert_non_null(strstr(error.message, "element section"));
    tv_builder_component(&built);
    TV_SECTION(&built, 9, 2, 0, 0x41, 0, 0x0b, 2, 0, 1, 3, 0, 1, 2);
    assert_int_equal(inspect(), TV_OK);
    tv_builder_component(&built);
    built.length -= 1 + 5 + 15;
    TV_SECTION(&built, 10, 1, 4, 1, 1, 0x6e, 0x0b); // a local of type anyref
    assert_int_equal(inspect(), TV_UNSUPPORTED);
    assert_non_null(strstr(error.message, "garbage collection"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(refused_instructions_are_named),
    cmocka_unit_test(bytes_inside_immediates_are_no_instructions),
    cmocka_unit_test(code_that_ends_within_an_instruction_is_malformed),
    cmocka_unit_test(locals_globals_and_segments_are_checked_too),
};

TV_WASM_TEST_MAIN(tests)
