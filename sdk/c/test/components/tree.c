// For component_test: reads a nested document into a pool and writes another one.
#include <torvyn/torvyn.h>
#include <torvyn/yyjson.h>

TV_COMPONENT("tree", "0.1.0", "processor", 256);

static char read_pool[4096], document_pool[4096], write_pool[4096];

TV_ON_RECORD(record) {
    char out[256];
    yyjson_read_err error;
    yyjson_doc *document = tv_yyjson_read(tv_payload_string(record), read_pool, sizeof read_pool, &error);
    if (document == NULL) return tv_reject("byte %u: %s", (unsigned)error.pos, error.msg);
    yyjson_val *list = yyjson_obj_get(yyjson_doc_get_root(document), "list");
    yyjson_alc allocator;
    if (!yyjson_alc_pool_init(&allocator, document_pool, sizeof document_pool)) return TV_FAILED;
    yyjson_mut_doc *result = yyjson_mut_doc_new(&allocator);
    yyjson_mut_val *root = yyjson_mut_obj(result);
    yyjson_mut_doc_set_root(result, root);
    yyjson_mut_obj_add_uint(result, root, "count", yyjson_arr_size(list));
    yyjson_mut_obj_add_val(result, root, "last", yyjson_val_mut_copy(result, yyjson_arr_get_last(list)));
    size_t length = tv_yyjson_write(result, out, sizeof out, write_pool, sizeof write_pool);
    return length == 0 ? tv_reject("the result does not fit") : tv_emit_like(record, 0, out, (uint32_t)length);
}
