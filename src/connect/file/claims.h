// Which files the channels of this process have open, and for what: a file that is read must not be written to, or what
// comes out goes in again, for ever. Checks of the pipeline see most of that before; this sees what they cannot, such
// as a link that is put into a file's place while it runs.
#ifndef TORVYN_CONNECT_FILE_CLAIMS_H
#define TORVYN_CONNECT_FILE_CLAIMS_H

#include <stdbool.h>

typedef enum tv_file_claim {
    TV_FILE_CLAIM_READ,
    TV_FILE_CLAIM_APPEND, // with others
    TV_FILE_CLAIM_WRITE,  // alone
} tv_file_claim;

// Whether the open file may be used so; if so, it is until the file is released, before it is closed. Any thread.
bool tv_file_claim_take(int fd, tv_file_claim claim);
void tv_file_claim_release(int fd, tv_file_claim claim);

#endif
