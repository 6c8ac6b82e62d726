// What the files with option tables share: units of ranges, and tables that know their own length.
#ifndef TORVYN_PIPELINE_TABLES_H
#define TORVYN_PIPELINE_TABLES_H

#define KIB          1024.0
#define MIB          (1024.0 * KIB)
#define GIB          (1024.0 * MIB)
#define MILLISECONDS 1e6
#define SECONDS      1e9
#define MINUTES      (60.0 * SECONDS)
#define HOURS        (60.0 * MINUTES)

#define TABLE(options_array, struct_type)                                                                              \
    {                                                                                                                  \
        .options = (options_array), .count = sizeof(options_array) / sizeof((options_array)[0]),                       \
        .struct_bytes = sizeof(struct_type)                                                                            \
    }
#define CHILDREN(array) .children = (array), .child_count = sizeof(array) / sizeof((array)[0])

#endif
