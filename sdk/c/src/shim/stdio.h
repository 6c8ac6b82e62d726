// yyjson.c includes this for its file functions, which the SDK compiles away.
#ifndef TORVYN_SHIM_STDIO_H
#define TORVYN_SHIM_STDIO_H

#include <stddef.h>

typedef struct tv_shim_file FILE;

#define SEEK_SET 0
#define SEEK_END 2
FILE *fopen(const char *path, const char *mode);
int fclose(FILE *file);
int fseek(FILE *file, long offset, int whence);
long ftell(FILE *file);
size_t fread(void *out, size_t size, size_t count, FILE *file);
size_t fwrite(const void *bytes, size_t size, size_t count, FILE *file);

#endif
