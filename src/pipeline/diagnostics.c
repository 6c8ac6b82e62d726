// The list of what was found in a pipeline file, and its two printed forms.
//
// The same finding at the same place is kept once, and few of those that differ in a name only, since stages are read
// again for every flow. Without memory a finding is still counted: an error must never look like a success.
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/show.h"
#include "pipeline/node.h"

static const char *diagnostic_severity_name(tv_severity severity) {
    switch (severity) {
    case TV_SEVERITY_ERROR: return "error";
    case TV_SEVERITY_WARNING: return "warning";
    case TV_SEVERITY_NOTE: return "note";
    }
    return "error";
}

static char *diagnostic_format(const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    if (text != NULL) vsnprintf(text, (size_t)length + 1, format, arguments);
    return text;
}

static bool diagnostic_same_place(const tv_diagnostic *a, const tv_diagnostic *b) {
    return a->severity == b->severity && a->line == b->line && a->column == b->column && strcmp(a->file, b->file) == 0;
}

static bool diagnostics_has(const tv_diagnostics *diagnostics, const tv_diagnostic *item) {
    for (size_t i = 0; i < diagnostics->count; i++) {
        const tv_diagnostic *known = &diagnostics->items[i];
        if (diagnostic_same_place(known, item) && strcmp(known->message, item->message) == 0) return true;
    }
    return false;
}

// The last of its kind at its place, if as many as are shown are there; a finding about no place is always kept.
static tv_diagnostic *diagnostics_alike(const tv_diagnostics *diagnostics, const tv_diagnostic *item) {
    size_t alike = 0;
    for (size_t i = 0; item->line > 0 && i < diagnostics->count; i++) {
        tv_diagnostic *known = &diagnostics->items[i];
        if (!diagnostic_same_place(known, item) || strcmp(known->kind, item->kind) != 0) continue;
        if (++alike == TV_DIAGNOSTICS_ALIKE_MAX) return known;
    }
    return NULL;
}

static void diagnostic_deinit(tv_diagnostic *item) {
    free(item->file);
    free(item->path);
    free(item->message);
    free(item->hint);
}

// Takes over the strings of `item`; false if there was no room for it.
static bool diagnostics_keep(tv_diagnostics *diagnostics, const tv_diagnostic *item) {
    if (diagnostics->count >= TV_DIAGNOSTICS_MAX) return false;
    if ((diagnostics->count & (diagnostics->count - 1)) == 0) {
        size_t capacity = diagnostics->count == 0 ? 1 : diagnostics->count * 2;
        tv_diagnostic *items = realloc(diagnostics->items, capacity * sizeof(*items));
        if (items == NULL) return false;
        diagnostics->items = items;
    }
    diagnostics->items[diagnostics->count++] = *item;
    return true;
}

// Takes over the strings of `item`, which may be incomplete: then it is only counted.
static void diagnostics_add_item(tv_diagnostics *diagnostics, tv_diagnostic *item, bool complete) {
    if (complete && diagnostics_has(diagnostics, item)) {
        diagnostic_deinit(item);
        return;
    }
    if (item->severity == TV_SEVERITY_ERROR) diagnostics->error_count++;
    if (item->severity == TV_SEVERITY_WARNING) diagnostics->warning_count++;
    tv_diagnostic *alike = complete ? diagnostics_alike(diagnostics, item) : NULL;
    if (alike != NULL) alike->more++;
    if (alike != NULL || !complete || !diagnostics_keep(diagnostics, item)) diagnostic_deinit(item);
}

void tv_diagnostics_add_text(tv_diagnostics *diagnostics, tv_severity severity, const char *file, uint32_t line,
                             uint32_t column, const char *path, const char *hint, const char *kind,
                             const char *message) {
    tv_diagnostic item = {.severity = severity,
                          .line = line,
                          .column = column,
                          .file = strdup(file),
                          .path = strdup(path),
                          .message = message != NULL ? strdup(message) : NULL,
                          .hint = hint != NULL ? strdup(hint) : NULL,
                          .kind = kind};
    bool complete =
        item.file != NULL && item.path != NULL && item.message != NULL && (hint == NULL || item.hint != NULL);
    diagnostics_add_item(diagnostics, &item, complete);
}

void tv_diagnostics_add(tv_diagnostics *diagnostics, tv_severity severity, const char *file, uint32_t line,
                        uint32_t column, const char *path, const char *hint, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *message = diagnostic_format(format, arguments);
    va_end(arguments);
    tv_diagnostics_add_text(diagnostics, severity, file, line, column, path, hint, format, message);
    free(message);
}

void tv_diagnostics_deinit(tv_diagnostics *diagnostics) {
    for (size_t i = 0; i < diagnostics->count; i++) {
        diagnostic_deinit(&diagnostics->items[i]);
    }
    free(diagnostics->items);
    *diagnostics = (tv_diagnostics){0};
}

// Errors and warnings that no kept one stands for.
static size_t diagnostics_hidden(const tv_diagnostics *diagnostics) {
    size_t hidden = diagnostics->error_count + diagnostics->warning_count;
    for (size_t i = 0; i < diagnostics->count; i++) {
        if (diagnostics->items[i].severity != TV_SEVERITY_NOTE) hidden -= 1 + diagnostics->items[i].more;
    }
    return hidden;
}

static void diagnostic_print(const tv_diagnostic *item, FILE *out, bool colour) {
    static const char *const colours[] = {
        [TV_SEVERITY_ERROR] = "\033[1;31m", [TV_SEVERITY_WARNING] = "\033[1;33m", [TV_SEVERITY_NOTE] = "\033[1;36m"};
    const char *plain = colour ? "\033[0m" : "";
    if (colour) fputs("\033[1m", out);
    tv_print(out, "%s", item->file);
    if (item->line > 0) tv_print(out, ":%u:%u", item->line, item->column);
    fputc(':', out);
    fputs(plain, out);
    fputc(' ', out);
    if (colour) fputs(colours[item->severity], out);
    tv_print(out, "%s:", diagnostic_severity_name(item->severity));
    fputs(plain, out);
    tv_print(out, " %s%s%s\n", item->path, item->path[0] != '\0' ? ": " : "", item->message);
    if (item->hint != NULL) tv_print(out, "    %s\n", item->hint);
    if (item->more > 0) tv_print(out, "    and %zu more like this at the same place\n", item->more);
}

void tv_diagnostics_print(const tv_diagnostics *diagnostics, FILE *out, bool colour) {
    for (size_t i = 0; i < diagnostics->count; i++) {
        diagnostic_print(&diagnostics->items[i], out, colour);
    }
    size_t hidden = diagnostics_hidden(diagnostics);
    if (hidden > 0) fprintf(out, "%zu more problems are not shown\n", hidden);
}

static void diagnostic_print_json_text(FILE *out, const char *name, const char *text) {
    tv_print(out, "\"%s\":\"", name);
    tv_print_shown(out, TV_SHOW_JSON, text, strlen(text));
    fputc('"', out);
}

static void diagnostic_print_json(const tv_diagnostic *item, FILE *out) {
    tv_print(out, "{\"severity\":\"%s\",", diagnostic_severity_name(item->severity));
    diagnostic_print_json_text(out, "file", item->file);
    tv_print(out, ",\"line\":%" PRIu32 ",\"column\":%" PRIu32 ",", item->line, item->column);
    diagnostic_print_json_text(out, "path", item->path);
    fputc(',', out);
    diagnostic_print_json_text(out, "message", item->message);
    if (item->hint != NULL) {
        fputc(',', out);
        diagnostic_print_json_text(out, "hint", item->hint);
    }
    if (item->more > 0) fprintf(out, ",\"more\":%zu", item->more);
    fputc('}', out);
}

void tv_diagnostics_print_json(const tv_diagnostics *diagnostics, FILE *out) {
    tv_print(out, "{\"errors\":%zu,\"warnings\":%zu,\"hidden\":%zu,\"diagnostics\":[", diagnostics->error_count,
             diagnostics->warning_count, diagnostics_hidden(diagnostics));
    for (size_t i = 0; i < diagnostics->count; i++) {
        fputs(i > 0 ? ",\n " : "\n ", out);
        diagnostic_print_json(&diagnostics->items[i], out);
    }
    fputs(diagnostics->count > 0 ? "\n]}\n" : "]}\n", out);
}
