// Components without libc have no files and no printf; yyjson's header merely mentions FILE.
#ifndef TORVYN_FREESTANDING_STDIO_H
#define TORVYN_FREESTANDING_STDIO_H

#if !defined(TORVYN_YYJSON_H) && !defined(TV_SDK_SOURCE)
#error "no <stdio.h> without libc: use tv_format and tv_log_info, or build with `torvyn build --libc`"
#endif

#include <stddef.h>

typedef struct tv_no_file FILE;

#define SEEK_SET 0
#define SEEK_END 2
FILE *fopen(const char *path, const char *mode);
int fclose(FILE *file);
int fseek(FILE *file, long offset, int whence);
long ftell(FILE *file);
size_t fread(void *out, size_t size, size_t count, FILE *file);
size_t fwrite(const void *bytes, size_t size, size_t count, FILE *file);

#endif
