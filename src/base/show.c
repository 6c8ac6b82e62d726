// See show.h. One function decides what is seen; the two forms and all ways of printing stand on it.
#include "base/show.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"

// ---- characters ---------------------------------------------------------------------------------------------

static bool continues(uint8_t byte) { return (byte & 0xc0) == 0x80; }

// Bytes of the well-formed UTF-8 character at `b` (RFC 3629), and which it is; 0 if there is none.
static size_t decode(const uint8_t *b, size_t length, uint32_t *code) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t count = b[0] < 0x80 ? 1 : b[0] < 0xc0 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : b[0] < 0xf8 ? 4 : 0;
    if (count == 0 || count > length) return 0;
    *code = count == 1 ? b[0] : b[0] & (0x7fu >> count);
    for (size_t i = 1; i < count; i++) {
        if (!continues(b[i])) return 0;
        *code = *code << 6 | (b[i] & 0x3f);
    }
    return *code >= least[count] && *code <= 0x10ffff && (*code < 0xd800 || *code > 0xdfff) ? count : 0;
}

size_t tv_utf8_character(const char *text, size_t length) {
    uint32_t code;
    return decode((const uint8_t *)text, length, &code);
}

size_t tv_utf8_prefix(const char *text, size_t length) {
    size_t at = 0, count;
    while (at < length && (count = tv_utf8_character(text + at, length - at)) > 0)
        at += count;
    return at;
}

// Characters that are not seen where they stand: control characters, separators of lines, and what Unicode calls
// default ignorable (zero width, bidirectional controls, fillers, tags, variation selectors) or no character at all.
static const struct {
    uint32_t first, last;
} unseen[] = {
    {0x00, 0x1f},       {0x7f, 0x9f},       {0xad, 0xad},       {0x34f, 0x34f},     {0x61c, 0x61c},   {0x115f, 0x1160},
    {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200f},   {0x2028, 0x202e},   {0x2060, 0x206f}, {0x3164, 0x3164},
    {0xfdd0, 0xfdef},   {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb}, {0xfffe, 0xffff},
    {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

static bool is_seen(uint32_t code) {
    if (code >= 0x20 && code < 0x7f) return true;
    if ((code & 0xfffe) == 0xfffe) return false; // the last two of each plane are no characters
    for (size_t i = 0; i < sizeof unseen / sizeof unseen[0]; i++)
        if (code >= unseen[i].first && code <= unseen[i].last) return false;
    return true;
}

// ---- the two forms ------------------------------------------------------------------------------------------

static size_t put_byte(char *out, uint8_t byte) {
    out[0] = "0123456789abcdef"[byte >> 4];
    out[1] = "0123456789abcdef"[byte & 15];
    return 2;
}

// The letter behind the backslash for what both forms write so; 0 for others.
static char short_escape(uint8_t byte) { return byte == '\n' ? 'n' : byte == '\t' ? 't' : byte == '\r' ? 'r' : 0; }

static size_t put_bytes(char *out, const uint8_t *bytes, size_t count) {
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        out[at++] = '\\';
        out[at++] = 'x';
        at += put_byte(out + at, bytes[i]);
    }
    return at;
}

// Capital digits, as the JSON library writes them.
static size_t put_unit(char *out, uint32_t unit) {
    out[0] = '\\';
    out[1] = 'u';
    for (int i = 0; i < 4; i++)
        out[2 + i] = "0123456789ABCDEF"[unit >> (4 * (3 - i)) & 15];
    return 6;
}

static size_t put_code(char *out, uint32_t code) {
    if (code < 0x10000) return put_unit(out, code);
    code -= 0x10000;
    size_t first = put_unit(out, 0xd800 + (code >> 10));
    return first + put_unit(out + first, 0xdc00 + (code & 0x3ff));
}

static size_t put_stray_json(char *out, uint8_t byte) {
    memcpy(out, "\xef\xbf\xbd", 3); // U+FFFD
    return 3 + put_byte(out + 3, byte);
}

size_t tv_show_step(tv_show_form form, const char *text, size_t length, char out[TV_SHOW_STEP_BYTES], size_t *shown) {
    const uint8_t *bytes = (const uint8_t *)text;
    uint32_t code = 0;
    size_t count = decode(bytes, length, &code);
    bool quoted = form == TV_SHOW_JSON && (bytes[0] == '"' || bytes[0] == '\\');
    char letter = quoted ? text[0] : short_escape(bytes[0]);
    if (letter) {
        out[0] = '\\';
        out[1] = letter;
        *shown = 2;
    } else if (count && is_seen(code)) {
        memcpy(out, text, count);
        *shown = count;
    } else if (form == TV_SHOW_TEXT) {
        *shown = put_bytes(out, bytes, count ? count : 1);
    } else {
        *shown = count ? put_code(out, code) : put_stray_json(out, bytes[0]);
    }
    return count ? count : 1;
}

// ---- printing -----------------------------------------------------------------------------------------------

// Where it goes: to a file or into a text.
typedef struct sink {
    FILE *file;
    tv_text *text;
} sink;

static void put(const sink *to, const char *bytes, size_t length) {
    if (to->file)
        fwrite(bytes, 1, length, to->file);
    else
        tv_text_add(to->text, bytes, length);
}

static void pad(const sink *to, size_t count) {
    while (count-- > 0)
        put(to, " ", 1);
}

static size_t characters(const char *bytes, size_t length) {
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += !continues((uint8_t)bytes[i]);
    return count;
}

// Puts what is shown of `text`, or only measures it (`to` NULL). Returns its characters.
static size_t put_shown(const sink *to, tv_show_form form, const char *text, size_t length) {
    size_t width = 0;
    for (size_t at = 0; at < length;) {
        char step[TV_SHOW_STEP_BYTES];
        size_t shown;
        at += tv_show_step(form, text + at, length - at, step, &shown);
        width += characters(step, shown);
        if (to) put(to, step, shown);
    }
    return width;
}

void tv_text_add_shown(tv_text *text, tv_show_form form, const char *bytes, size_t length) {
    put_shown(&(sink){.text = text}, form, bytes, length);
}

void tv_print_shown(FILE *out, tv_show_form form, const char *bytes, size_t length) {
    put_shown(&(sink){.file = out}, form, bytes, length);
}

// ---- formats ------------------------------------------------------------------------------------------------

typedef struct conversion {
    char flags[6];  // "-+ #0", each once
    int width;      // negative: to the left
    int precision;  // negative: none
    char length[3]; // "", "hh", "h", "l", "ll", "z", "j", "t"
    char letter;
} conversion;

// A number in the format, or `*`: one of the arguments.
static int read_count(const char **at, va_list *arguments) {
    int value = 0;
    if (**at == '*') {
        ++*at;
        return va_arg(*arguments, int);
    }
    for (; **at >= '0' && **at <= '9'; ++*at)
        value = value * 10 + (**at - '0');
    return value;
}

// The conversion behind the '%'; returns where the format goes on.
static const char *read_conversion(const char *at, conversion *found, va_list *arguments) {
    *found = (conversion){.precision = -1};
    size_t flags = strspn(at, "-+ #0"), length;
    TV_ASSERT(flags < sizeof found->flags);
    memcpy(found->flags, at, flags);
    at += flags;
    found->width = read_count(&at, arguments);
    if (*at == '.') {
        at++;
        found->precision = read_count(&at, arguments);
    }
    length = strspn(at, "hlzjt");
    TV_ASSERT(length < sizeof found->length);
    memcpy(found->length, at, length);
    found->letter = at[length];
    return at + length + 1;
}

// %.Ns ends before a character that it would cut.
static size_t cut_length(const char *text, int precision) {
    if (precision < 0) return strlen(text);
    size_t length = strnlen(text, (size_t)precision), back = 0;
    if (length < (size_t)precision || !continues((uint8_t)text[length])) return length;
    while (back < 3 && back < length && continues((uint8_t)text[length - 1 - back]))
        back++;
    return back < length && (uint8_t)text[length - 1 - back] >= 0xc0 ? length - 1 - back : length;
}

static void put_string(const sink *to, const conversion *how, const char *text, size_t length) {
    bool left = how->width < 0 || strchr(how->flags, '-');
    size_t wanted = (size_t)(how->width < 0 ? -(long)how->width : how->width);
    size_t width = wanted ? put_shown(NULL, TV_SHOW_TEXT, text, length) : 0;
    size_t gap = wanted > width ? wanted - width : 0;
    pad(to, left ? 0 : gap);
    put_shown(to, TV_SHOW_TEXT, text, length);
    pad(to, left ? gap : 0);
}

enum { NUMBER_BYTES = 512 }; // the longest double has 309 digits in front of the point

static void put_whole(const sink *to, const conversion *how, va_list *arguments) {
    char format[16], number[NUMBER_BYTES];
    bool is_signed = how->letter == 'd' || how->letter == 'i';
    intmax_t value;
    if (strcmp(how->length, "ll") == 0 || strcmp(how->length, "l") == 0 || how->length[0] == 'z' ||
        how->length[0] == 'j' || how->length[0] == 't')
        value = va_arg(*arguments, intmax_t); // all of 64 bits on the systems we run on
    else
        value = is_signed ? va_arg(*arguments, int) : (intmax_t)va_arg(*arguments, unsigned);
    snprintf(format, sizeof format, "%%%s*.*j%c", how->flags, how->letter);
    int length = snprintf(number, sizeof number, format, how->width, how->precision, value);
    TV_ASSERT(length >= 0 && (size_t)length < sizeof number);
    put(to, number, (size_t)length);
}

static void put_real(const sink *to, const conversion *how, double value) {
    char format[16], number[NUMBER_BYTES];
    snprintf(format, sizeof format, "%%%s*.*%c", how->flags, how->letter);
    int length = snprintf(number, sizeof number, format, how->width, how->precision, value);
    TV_ASSERT(length >= 0 && (size_t)length < sizeof number);
    put(to, number, (size_t)length);
}

static void put_conversion(const sink *to, const conversion *how, va_list *arguments) {
    const char *text;
    char byte;
    switch (how->letter) {
    case '%': put(to, "%", 1); return;
    case 's':
        text = va_arg(*arguments, const char *);
        put_string(to, how, text, cut_length(text, how->precision));
        return;
    case 'c':
        byte = (char)va_arg(*arguments, int);
        put_string(to, how, &byte, 1);
        return;
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o': put_whole(to, how, arguments); return;
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G': put_real(to, how, va_arg(*arguments, double)); return;
    }
    TV_ASSERT(!"a conversion that tv_print does not know");
}

static void put_format(const sink *to, const char *format, va_list *arguments) {
    while (*format) {
        size_t plain = strcspn(format, "%");
        put(to, format, plain);
        format += plain;
        if (!*format) break;
        conversion how;
        format = read_conversion(format + 1, &how, arguments);
        put_conversion(to, &how, arguments);
    }
}

void tv_print(FILE *out, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    put_format(&(sink){.file = out}, format, &arguments);
    va_end(arguments);
}

void tv_text_show(tv_text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    put_format(&(sink){.text = text}, format, &arguments);
    va_end(arguments);
}

void tv_text_vshow(tv_text *text, const char *format, va_list arguments) {
    va_list copy; // a parameter of this type may be a pointer, which has no address of the same type
    va_copy(copy, arguments);
    put_format(&(sink){.text = text}, format, &copy);
    va_end(copy);
}
