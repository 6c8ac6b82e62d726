// JSON on its way out: the one place where a document becomes text.
//
// Whatever bytes its strings hold, the text is UTF-8 and has nothing in it that acts on a terminal (base/show.h says
// what becomes of such bytes). Everything a document holds may come from outside.
#ifndef TORVYN_BASE_JSON_H
#define TORVYN_BASE_JSON_H

#include <stddef.h>

struct yyjson_mut_doc;
struct yyjson_val;

typedef enum tv_json_style {
    TV_JSON_COMPACT, // one line, without its end
    TV_JSON_LINE,    // one line with its end
    TV_JSON_PRETTY,  // indented, with an end of line
} tv_json_style;

// The document as text, NUL-terminated, to be freed by the caller; *length (may be NULL) without the NUL. NULL, with
// *length 0: out of memory, or the document is NULL. Takes the document over in any case.
char *tv_json_write(struct yyjson_mut_doc *document, tv_json_style style, size_t *length);

// The same of a value that was read; it stays the caller's.
char *tv_json_write_value(const struct yyjson_val *value, tv_json_style style, size_t *length);

#endif
