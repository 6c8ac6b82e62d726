// Files that must not be one another: no output is the pipeline's own file, a component's, an asset, a table, a file
// that is read, another's output where the two would spoil each other, or the rotated name of any of these.
//
// A file is told by its path with all links resolved, so that it need not be there yet, and by device and inode where
// it is, so that a hard link does not hide it. What comes up later is told by the connector when it opens a file.
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connect/file/file.h"
#include "host/internal.h"
#include "host/key_table.h"

typedef enum path_use { PATH_FIXED, PATH_INPUT, PATH_OUTPUT, PATH_USES } path_use;

typedef struct path_claim {
    struct path_claim *next;           // of all, and
    struct path_claim *next_in_folder; // of the patterns of a folder
    path_use use;
    const char *what, *name; // "asset", "table"
    const char *flow;        // NULL: it is of no flow
    const char *channel;     // NULL: it is of no channel
    tv_place place;
    char *path;      // all links resolved
    uint32_t keep;   // rotated files that an output may write
    bool may_share;  // an output that others may write to as well
    bool truncates;  // an output that begins with an empty file
    bool is_pattern; // an input
} path_claim;

typedef struct path_check {
    tv_host_model *model;
    path_claim *claims;
    tv_key_table paths, files, folders;           // path or device and inode -> slot; folder -> the first pattern in it
    char folder[PATH_MAX], real_folder[PATH_MAX]; // the last that was resolved
    bool failed;                                  // out of memory: what was found so far stands
} path_check;

// Who was first to claim a file for each use.
typedef struct path_slot {
    const path_claim *first[PATH_USES];
} path_slot;

// ---- paths --------------------------------------------------------------------------------------------------

static const char *real_folder(path_check *check, const char *path, size_t length) {
    char folder[PATH_MAX];
    if (length >= sizeof folder) return NULL;
    memcpy(folder, length > 0 ? path : ".", length > 0 ? length : 1);
    folder[length > 0 ? length : 1] = 0;
    if (strcmp(folder, check->folder) == 0) return check->real_folder;
    if (!realpath(folder, check->real_folder)) snprintf(check->real_folder, sizeof check->real_folder, "%s", folder);
    memcpy(check->folder, folder, strlen(folder) + 1);
    return check->real_folder;
}

// What a symbolic link leads to, into the place of `path`. False: it is none.
static bool follow_link(char path[PATH_MAX]) {
    char target[PATH_MAX], joined[PATH_MAX];
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length <= 0) return false;
    target[length] = 0;
    const char *slash = target[0] == '/' ? NULL : strrchr(path, '/');
    int folder_length = slash ? (int)(slash - path) + 1 : 0;
    if (snprintf(joined, sizeof joined, "%.*s%s", folder_length, path, target) >= PATH_MAX) return false;
    memcpy(path, joined, strlen(joined) + 1);
    return true;
}

// As the system would find it, also where the file, or what a link leads to, is not there. Heap; NULL without memory.
static char *resolve(path_check *check, const char *given) {
    enum { LINKS_MAX = 40 };
    char path[PATH_MAX], *resolved = NULL;
    if (snprintf(path, sizeof path, "%s", given) >= PATH_MAX) return strdup(given);
    for (int i = 0; i < LINKS_MAX && follow_link(path); i++)
        continue;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *folder = real_folder(check, path, (size_t)(name - path));
    if (!folder || asprintf(&resolved, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name) < 0) return NULL;
    return resolved;
}

// ---- findings -----------------------------------------------------------------------------------------------

static void report(path_check *check, const path_claim *output, const path_claim *other, const char *path,
                   const char *relation) {
    char whose[160] = "";
    if (other->channel)
        snprintf(whose, sizeof whose, "%s of channel \"%s\"%s%s%s",
                 other->use == PATH_INPUT ? "the input" : "the output", other->channel,
                 other->flow ? " of flow \"" : "", other->flow ? other->flow : "", other->flow ? "\"" : "");
    else
        snprintf(whose, sizeof whose, "%s%s%s%s", other->what, other->name ? " \"" : "", other->name ? other->name : "",
                 other->name ? "\"" : "");
    bool both_write = other->use == PATH_OUTPUT && other->channel;
    bool is_shared = both_write && output->may_share && other->may_share;
    tv_host_report(check->model, is_shared ? TV_SEVERITY_WARNING : TV_SEVERITY_ERROR, output->place,
                   output->channel ? "channels" : "dead_letters", output->channel,
                   both_write ? "give each a path of its own; only outputs of `format: lines` with `mode: append` can "
                                "share a file"
                              : "give the output a path of its own",
                   "%s %s%s%s%s %s: %s", output->channel ? "the output" : "the file for dead letters",
                   output->flow ? "of flow \"" : "", output->flow ? output->flow : "", output->flow ? "\" " : "",
                   is_shared ? "would empty at its start" : relation, whose, path);
}

static void compare(path_check *check, const path_claim *claim, const path_slot *slot) {
    if (claim->use == PATH_INPUT && slot->first[PATH_OUTPUT])
        report(check, slot->first[PATH_OUTPUT], claim, claim->path, "would be written into");
    if (claim->use != PATH_OUTPUT) return;
    const path_claim *other = slot->first[PATH_FIXED];
    if (!other) other = slot->first[PATH_INPUT];
    if (!other && slot->first[PATH_OUTPUT]) {
        bool may_share = claim->may_share && slot->first[PATH_OUTPUT]->may_share;
        if (!may_share || claim->truncates) other = slot->first[PATH_OUTPUT];
    }
    if (other && other != claim) report(check, claim, other, claim->path, "would be written into");
}

// ---- claims -------------------------------------------------------------------------------------------------

static path_slot *slot_of(path_check *check, tv_key_table *table, const void *key, size_t key_bytes) {
    tv_key_entry *entry = tv_key_table_take(table, key, key_bytes);
    if (entry && !entry->value) entry->value = calloc(1, sizeof(path_slot));
    if (!entry || !entry->value) check->failed = true;
    return entry ? entry->value : NULL;
}

static void take_place(path_check *check, tv_key_table *table, const void *key, size_t key_bytes,
                       const path_claim *claim, bool is_compared) {
    path_slot *slot = slot_of(check, table, key, key_bytes);
    if (!slot) return;
    if (is_compared) compare(check, claim, slot);
    if (!slot->first[claim->use]) slot->first[claim->use] = claim;
}

static void take_patterns_place(path_check *check, path_claim *claim) {
    const char *name = strrchr(claim->path, '/') + 1;
    tv_key_entry *entry = tv_key_table_take(&check->folders, claim->path, (size_t)(name - claim->path));
    if (!entry) check->failed = true;
    if (!entry) return;
    claim->next_in_folder = entry->value;
    entry->value = claim;
}

static void compare_with_patterns(path_check *check, const path_claim *output) {
    const char *name = strrchr(output->path, '/') + 1;
    tv_key_entry *entry = tv_key_table_find(&check->folders, output->path, (size_t)(name - output->path));
    for (const path_claim *input = entry ? entry->value : NULL; input; input = input->next_in_folder)
        if (tv_file_fits(input->path, name)) {
            report(check, output, input, output->path, "has a name that fits");
            return;
        }
}

static void add(path_check *check, path_claim made, const char *path) {
    struct stat status;
    path_claim *claim = malloc(sizeof *claim);
    made.path = resolve(check, path);
    if (!claim || !made.path) {
        check->failed = true;
        free(claim);
        free(made.path);
        return;
    }
    *claim = made;
    claim->next = check->claims;
    check->claims = claim;
    if (claim->is_pattern) {
        take_patterns_place(check, claim);
        return;
    }
    size_t errors = check->model->diagnostics.error_count;
    take_place(check, &check->paths, claim->path, strlen(claim->path), claim, true);
    bool is_new = check->model->diagnostics.error_count == errors;
    if (stat(claim->path, &status) == 0 && S_ISREG(status.st_mode)) {
        uint64_t file[2] = {(uint64_t)status.st_dev, (uint64_t)status.st_ino};
        take_place(check, &check->files, file, sizeof file, claim, is_new);
    }
    if (claim->use == PATH_OUTPUT) compare_with_patterns(check, claim);
}

// Whose rotated file it is: path.N, N up to `keep`.
static void compare_with_rotated(path_check *check, const path_claim *claim) {
    const char *dot = strrchr(claim->path, '.');
    char *end = NULL;
    if (!dot || dot[1] < '1' || dot[1] > '9') return;
    unsigned long number = strtoul(dot + 1, &end, 10);
    tv_key_entry *entry = tv_key_table_find(&check->paths, claim->path, (size_t)(dot - claim->path));
    const path_claim *output = entry && *end == 0 ? ((path_slot *)entry->value)->first[PATH_OUTPUT] : NULL;
    if (output && number <= output->keep) report(check, output, claim, claim->path, "would rotate into");
}

// ---- what there is ------------------------------------------------------------------------------------------

static void add_fixed(path_check *check, const char *what, const char *name, const char *path) {
    if (path) add(check, (path_claim){.use = PATH_FIXED, .what = what, .name = name}, path);
}

static void add_assets(path_check *check, const tv_flow_model *flow) {
    for (size_t s = 0; s < flow->stage_count; s++)
        for (size_t a = 0; a < flow->stages[s].asset_count; a++)
            add_fixed(check, "the asset", flow->stages[s].asset_names[a], flow->stages[s].asset_paths[a]);
}

static void add_own(path_check *check) {
    const tv_pipeline *pipeline = check->model->pipeline;
    add_fixed(check, "the pipeline file", NULL, pipeline->file);
    for (size_t i = 0; i < pipeline->component_count; i++)
        add_fixed(check, "the component", pipeline->components[i].name, pipeline->components[i].file);
    for (size_t i = 0; i < pipeline->template_count; i++)
        add_fixed(check, "the table of flows", pipeline->templates[i].name, pipeline->templates[i].table);
    if (pipeline->control_path && strcmp(pipeline->control_path, "none") != 0)
        add_fixed(check, "the control socket", NULL, pipeline->control_path);
}

// Names that mean something elsewhere.
static void check_name(path_check *check, const tv_channel_model *channel, const char *path, bool is_output) {
    enum { NAME_BYTES_MAX = 255 };
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *percent = strchr(name, '%');
    bool is_date = percent && ((percent[1] >= 'A' && percent[1] <= 'Z') || (percent[1] >= 'a' && percent[1] <= 'z'));
    if (strlen(name) > NAME_BYTES_MAX)
        tv_host_report(check->model, TV_SEVERITY_ERROR, channel->place, "channels", channel->name, "shorten it",
                       "the name of a file can have 255 bytes, \"%.40s...\" has %zu", name, strlen(name));
    if (is_date)
        tv_host_report(check->model, TV_SEVERITY_WARNING, channel->place, "channels", channel->name,
                       is_output ? "`rotate_age` begins a new file each day"
                                 : "a pattern, log-*.txt, follows such files",
                       "\"%.80s\" is taken as it stands: no date is put into it", name);
    if (is_output && strpbrk(name, "*?["))
        tv_host_report(check->model, TV_SEVERITY_WARNING, channel->place, "channels", channel->name,
                       "only inputs can have a pattern", "\"%.80s\" is taken as it stands: an output is one file",
                       name);
}

static void add_channels(path_check *check, const tv_flow_model *flow, tv_direction direction) {
    for (size_t c = 0; c < flow->channel_count; c++) {
        const tv_channel_model *channel = &flow->channels[c];
        tv_file_use use;
        if (channel->direction != direction || channel->connector != &tv_connector_file || !channel->options) continue;
        tv_file_use_of(direction, channel->options, &use);
        check_name(check, channel, use.path, direction == TV_OUTPUT);
        path_claim claim = {.use = direction == TV_INPUT ? PATH_INPUT : PATH_OUTPUT,
                            .flow = check->model->pipeline->flow_count > 1 ? flow->name : NULL,
                            .channel = channel->name,
                            .place = channel->place,
                            .keep = use.rotated_max,
                            .may_share = use.may_share,
                            .truncates = use.truncates,
                            .is_pattern = use.is_pattern};
        add(check, claim, use.path);
    }
}

static void add_dead_letters(path_check *check) {
    const tv_dead_letters_model *letters = &check->model->pipeline->dead_letters;
    char path[PATH_MAX];
    if (!letters->enabled) return;
    tv_host_dead_letter_path(check->model->pipeline, path);
    add(check,
        (path_claim){.use = PATH_OUTPUT,
                     .what = "the file for dead letters",
                     .keep = letters->rotate_bytes ? letters->keep : 0,
                     .may_share = false},
        path);
}

// ---- all together -------------------------------------------------------------------------------------------

static void free_value(void *user, tv_key_entry *entry) {
    (void)user;
    free(entry->value);
}

static void deinit(path_check *check) {
    tv_key_table_each(&check->paths, free_value, NULL);
    tv_key_table_each(&check->files, free_value, NULL);
    tv_key_table_deinit(&check->paths);
    tv_key_table_deinit(&check->files);
    tv_key_table_deinit(&check->folders);
    for (path_claim *claim = check->claims, *next; claim; claim = next) {
        next = claim->next;
        free(claim->path);
        free(claim);
    }
}

static void check_flows(tv_host_model *model, const tv_flow_model *flows, size_t count) {
    path_check check = {.model = model};
    add_own(&check);
    for (size_t f = 0; f < count; f++)
        if (f == 0 || flows[f].stages != flows[f - 1].stages) add_assets(&check, &flows[f]);
    add_dead_letters(&check);
    for (size_t f = 0; f < count; f++)
        add_channels(&check, &flows[f], TV_INPUT);
    for (size_t f = 0; f < count; f++)
        add_channels(&check, &flows[f], TV_OUTPUT);
    for (const path_claim *claim = check.claims; claim; claim = claim->next)
        if (!claim->is_pattern) compare_with_rotated(&check, claim);
    deinit(&check);
}

void tv_host_check_paths(tv_host_model *model) {
    check_flows(model, model->pipeline->flows, model->pipeline->flow_count);
}

void tv_host_check_flow_paths(tv_host_model *model, const tv_flow_model *flow) { check_flows(model, flow, 1); }
