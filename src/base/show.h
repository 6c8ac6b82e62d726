// What comes from outside (a component, a pipeline file, a path, a payload, a peer), made fit to be seen.
//
// Every such text goes through here on its way to a terminal, into a log line or into JSON: nothing in it may act on
// the terminal, end a line early, turn the order of writing round or hide. Two forms:
//
//   text   characters that are seen pass; of all others, and of what is no UTF-8, each byte becomes \xNN; newline, tab
//          and carriage return become \n, \t, \r
//   JSON   the inside of a string of RFC 8259: always UTF-8; characters that are not seen become \uNNNN, which a reader
//          has back as they were; a byte that is no UTF-8 becomes U+FFFD and its two hexadecimal digits
#ifndef TORVYN_BASE_SHOW_H
#define TORVYN_BASE_SHOW_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "base/text.h"

// Bytes of the well-formed UTF-8 character (RFC 3629) at `text` (`length` > 0); 0 if there is none.
size_t tv_utf8_character(const char *text, size_t length);
// Bytes of the longest begin of `text` that is UTF-8.
size_t tv_utf8_prefix(const char *text, size_t length);

typedef enum tv_show_form { TV_SHOW_TEXT, TV_SHOW_JSON } tv_show_form;

enum { TV_SHOW_STEP_BYTES = 16 }; // the most that stands for one character: four bytes as \xNN

// What stands for the next character, or stray byte, of `text` (`length` > 0) into `out`, *shown bytes without a NUL.
// Returns how many bytes of `text` that was. Allocates nothing.
size_t tv_show_step(tv_show_form form, const char *text, size_t length, char out[TV_SHOW_STEP_BYTES], size_t *shown);

// Appends a text from outside, or prints it.
void tv_text_add_shown(tv_text *text, tv_show_form form, const char *bytes, size_t length);
void tv_print_shown(FILE *out, tv_show_form form, const char *bytes, size_t length);

// As printf, but what stands for %s and %c counts as from outside and is shown in the form for texts; what the format
// itself says is ours. A width counts characters, a precision bytes (a character is taken whole or not at all).
// Conversions: d i u x X o c s f F e E g G %, with the flags, widths and lengths of C; no n, p, a, L, no positions.
void tv_print(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tv_text_show(tv_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tv_text_vshow(tv_text *text, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));

#endif
