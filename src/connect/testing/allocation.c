// The wrapped functions. Only the thread that asked for a failure meets it.
#include "connect/testing/allocation.h"

#include <stddef.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
char *__wrap_strdup(const char *text);

static _Thread_local unsigned left;
static _Thread_local bool has_failed;

void tv_allocation_fail_at(unsigned number) {
    left = number;
    has_failed = false;
}

bool tv_allocation_has_failed(void) { return has_failed; }

static bool fails(void) {
    if (left == 0 || --left > 0) return false;
    has_failed = true;
    return true;
}

void *__wrap_malloc(size_t bytes) { return fails() ? NULL : __real_malloc(bytes); }
void *__wrap_calloc(size_t count, size_t bytes) { return fails() ? NULL : __real_calloc(count, bytes); }
char *__wrap_strdup(const char *text) { return fails() ? NULL : __real_strdup(text); }
