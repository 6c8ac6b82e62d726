// A JSON tree in a pool of the author's, with yyjson's own functions (yyjson_obj_get and so on). For documents whose
// shape torvyn/json.h does not serve; for flat readings that one is smaller and no slower.
//
//     static char pool[16384];
//     yyjson_doc *document = tv_yyjson_read(tv_payload_string(record), pool, sizeof pool, &error);
//     yyjson_val *root = yyjson_doc_get_root(document);
//
// Nothing is allocated elsewhere: the tree lives in the pool until the next read into it, and needs no freeing. A
// text of n bytes needs at most about 12 n + 512 bytes of pool; a smaller pool often does.
#ifndef TORVYN_YYJSON_H
#define TORVYN_YYJSON_H

#include "torvyn/text.h"
#include <yyjson.h>

// NULL if the text is not JSON or the pool is too small (error->code YYJSON_READ_ERROR_MEMORY_ALLOCATION). `error` may
// be NULL.
yyjson_doc *tv_yyjson_read(tv_string text, void *pool, size_t pool_bytes, yyjson_read_err *error);

// Writes a tree into `out`; 0 if it does not fit. Needs a pool of its own, of about twice the text.
size_t tv_yyjson_write(const yyjson_mut_doc *document, char *out, size_t capacity, void *pool, size_t pool_bytes);

#endif
