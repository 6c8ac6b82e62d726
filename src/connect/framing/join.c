// Join: frames the records at the front of an output channel into one buffer, so that a batch is one write.
//
// Copying was chosen over writev straight from the ring: with records of 100 bytes the two entries a record needs
// (payload, newline) cost the kernel more than the copy, and IOV_MAX would end a batch at 512 records.
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/pages.h"
#include "connect/framing/framing.h"

uint64_t tv_join_memory_bytes(uint64_t bytes_wanted, uint32_t payload_bytes_max) {
    uint64_t least = (uint64_t)payload_bytes_max + TV_FRAMING_PREFIX_BYTES;
    return bytes_wanted > least ? bytes_wanted : least;
}

tv_status tv_join_init(tv_join *join, tv_framing framing, uint64_t bytes_wanted, uint32_t payload_bytes_max,
                       tv_error *error) {
    uint64_t bytes = tv_join_memory_bytes(bytes_wanted, payload_bytes_max);
    TV_ASSERT(bytes <= UINT32_MAX);
    uint8_t *buffer = malloc(bytes);
    if (!buffer) return tv_error_set(error, TV_NO_MEMORY, "no memory for a write buffer of %u bytes", (uint32_t)bytes);
    *join = (tv_join){.framing = framing, .bytes = buffer, .capacity_bytes = (uint32_t)bytes};
    return TV_OK;
}

void tv_join_deinit(tv_join *join) {
    free(join->bytes);
    *join = (tv_join){0};
}

uint64_t tv_join_trim(tv_join *join) { return tv_pages_give_back(join->bytes, join->capacity_bytes); }

static uint32_t overhead_bytes(tv_framing framing) { return framing == TV_FRAMING_LINES ? 1 : TV_FRAMING_PREFIX_BYTES; }

static void append(tv_join *join, const tv_record *record) {
    uint8_t *at = join->bytes + join->length;
    if (join->framing == TV_FRAMING_LENGTH_PREFIXED) {
        for (int i = 0; i < TV_FRAMING_PREFIX_BYTES; i++) {
            *at++ = (uint8_t)(record->payload_bytes >> (8 * i));
        }
    }
    memcpy(at, tv_record_payload(record), record->payload_bytes);
    if (join->framing == TV_FRAMING_LINES) at[record->payload_bytes] = '\n';
    join->length += record->payload_bytes + overhead_bytes(join->framing);
    join->messages++;
}

static bool fits(const tv_join *join, const tv_record *record, uint64_t bytes_max) {
    uint64_t length = (uint64_t)join->length + record->payload_bytes + overhead_bytes(join->framing);
    if (length > join->capacity_bytes) return false;
    return length <= bytes_max || join->messages == 0;
}

static void fill_from_run(tv_join *join, const tv_record *record, uint32_t run_records, uint64_t bytes_max) {
    for (uint32_t i = 0; i < run_records; i++) {
        if (record->kind == TV_KIND_DATA) {
            if (!fits(join, record, bytes_max)) return;
            append(join, record);
        }
        join->records_taken++;
        join->record_bytes_taken += record->size_bytes;
        record = tv_record_next(record);
    }
}

tv_status tv_join_fill(tv_join *join, tv_channel *channel, uint64_t bytes_max) {
    for (;;) {
        join->length = join->messages = join->records_taken = join->record_bytes_taken = 0;
        const tv_record *first;
        uint32_t run_bytes, run_records;
        tv_status status = tv_channel_peek(channel, &first, &run_bytes, &run_records);
        if (status != TV_OK) return status;
        fill_from_run(join, first, run_records, bytes_max);
        if (join->messages > 0) return TV_OK;
        TV_ASSERT(join->records_taken > 0);
        tv_channel_pop(channel, join->records_taken, join->record_bytes_taken);
    }
}
