// Opens a folder by its path without following links that others could have put there.
#ifndef TORVYN_WASM_FOLDER_H
#define TORVYN_WASM_FOLDER_H

// A descriptor of the folder, made with mode 0700 where parts of the path are missing; -1 with errno: ELOOP if a part
// is a link. Links of the system are followed: those that root owns in `/`, `/var`, `/var/cache`,
// `/var/lib` (/var/run -> /run, /var/cache/torvyn -> private/torvyn). `path` begins
// with a slash, or with the working directory.
int tv_folder_open(const char *path);

#endif
