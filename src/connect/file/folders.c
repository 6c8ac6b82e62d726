// Watched folders by path, and in each its followers by name: two levels of one kind of hash table.
#include "connect/file/folders.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "connect/file/pattern.h"

// ---- tables of names ----------------------------------------------------------------------------------------

typedef struct name_table {
    tv_file_name **buckets;
    size_t bucket_count; // 0 or a power of two
    size_t count;
} name_table;

// FNV-1a, 64 bits.
static uint64_t hash_of(const char *name, size_t length) {
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3;
    return hash ^ hash >> 32;
}

static tv_file_name **bucket_of(const name_table *table, const char *name, size_t length) {
    return &table->buckets[hash_of(name, length) & (table->bucket_count - 1)];
}

static bool grow(name_table *table) {
    size_t bucket_count = table->bucket_count ? table->bucket_count * 2 : 1, old_count = table->bucket_count;
    tv_file_name **buckets = calloc(bucket_count, sizeof(tv_file_name *)), **old = table->buckets;
    if (!buckets) return false;
    table->buckets = buckets;
    table->bucket_count = bucket_count;
    for (size_t i = 0; i < old_count; i++)
        for (tv_file_name *entry = old[i], *next; entry; entry = next) {
            next = entry->next;
            tv_file_name **bucket = bucket_of(table, entry->name, strlen(entry->name));
            entry->next = *bucket;
            *bucket = entry;
        }
    free(old);
    return true;
}

static bool add(name_table *table, tv_file_name *entry) {
    if (table->count == table->bucket_count && !grow(table)) return false;
    tv_file_name **bucket = bucket_of(table, entry->name, strlen(entry->name));
    entry->next = *bucket;
    *bucket = entry;
    table->count++;
    return true;
}

static void take_out(name_table *table, tv_file_name *entry) {
    tv_file_name **link = bucket_of(table, entry->name, strlen(entry->name));
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    if (--table->count > 0) return;
    free(table->buckets);
    *table = (name_table){0};
}

// ---- folders ------------------------------------------------------------------------------------------------

typedef struct folders {
    name_table by_path;
    void **place; // where the pointer to this is kept
} folders;

struct tv_file_folder {
    tv_file_name path; // first: the table's
    folders *all;
    name_table followers;
    tv_file_name *by_pattern; // those who follow a pattern
    tv_file_identity watched; // what was at the path when the watch began
    uv_fs_event_t watch;
    char text[];
};

static bool is_about(const tv_file_follower *follower, const char *name) {
    return follower->pattern ? tv_file_matches(follower->pattern, name) : strcmp(follower->name.name, name) == 0;
}

static void tell(tv_file_name *followers, const char *name, bool renamed) {
    for (tv_file_name *entry = followers; entry; entry = entry->next) {
        tv_file_follower *follower = (tv_file_follower *)entry;
        if (!name || is_about(follower, name)) follower->changed(follower, renamed);
    }
}

// Without a name, or with an error, it may be about any of them.
static void on_event(uv_fs_event_t *watch, const char *name, int events, int status) {
    tv_file_folder *folder = watch->data;
    bool renamed = status != 0 || (events & UV_RENAME);
    tell(folder->by_pattern, status == 0 ? name : NULL, renamed);
    if (status == 0 && name) {
        if (folder->followers.count > 0) tell(*bucket_of(&folder->followers, name, strlen(name)), name, renamed);
        return;
    }
    for (size_t i = 0; i < folder->followers.bucket_count; i++)
        tell(folder->followers.buckets[i], NULL, renamed);
}

static void on_folder_closed(uv_handle_t *handle) { free(handle->data); }

static void drop_if_empty(folders *all) {
    if (all->by_path.count > 0) return;
    *all->place = NULL;
    free(all);
}

static void leave(tv_file_folder *folder) {
    take_out(&folder->all->by_path, &folder->path);
    drop_if_empty(folder->all);
    uv_close((uv_handle_t *)&folder->watch, on_folder_closed);
}

// What is at the path is determined first: if it is replaced in between, the two differ, and that will be found.
static int start_watch(tv_file_folder *folder) {
    const char *path = folder->text[0] ? folder->text : ".";
    folder->watched = tv_file_identify(path);
    return uv_fs_event_start(&folder->watch, on_event, path, 0);
}

static folders *folders_in(void **place) {
    folders *all = *place;
    if (all) return all;
    all = calloc(1, sizeof *all);
    if (all) all->place = place;
    return *place = all;
}

// Its path is what stands before the name.
static tv_file_folder *find(const folders *all, const char *path, size_t length) {
    if (all->by_path.count == 0) return NULL;
    tv_file_name *entry = *bucket_of(&all->by_path, path, length);
    while (entry && (strncmp(entry->name, path, length) != 0 || entry->name[length] != 0))
        entry = entry->next;
    return (tv_file_folder *)entry;
}

static int enter(folders *all, uv_loop_t *loop, const char *path, size_t length, tv_file_folder **out) {
    tv_file_folder *folder = calloc(1, sizeof *folder + length + 1);
    if (!folder) return UV_ENOMEM;
    memcpy(folder->text, path, length);
    folder->path.name = folder->text;
    folder->all = all;
    if (!add(&all->by_path, &folder->path)) {
        free(folder);
        drop_if_empty(all);
        return UV_ENOMEM;
    }
    uv_fs_event_init(loop, &folder->watch);
    folder->watch.data = folder;
    int result = start_watch(folder);
    if (result == 0) *out = folder;
    if (result != 0) leave(folder); // and with it perhaps `all`
    return result;
}

static void leave_if_empty(tv_file_folder *folder) {
    if (folder->followers.count == 0 && !folder->by_pattern) leave(folder);
}

static bool enlist(tv_file_folder *folder, tv_file_follower *follower) {
    if (!follower->pattern) return add(&folder->followers, &follower->name);
    follower->name.next = folder->by_pattern;
    folder->by_pattern = &follower->name;
    return true;
}

static void strike_off(tv_file_folder *folder, tv_file_follower *follower) {
    if (!follower->pattern) {
        take_out(&folder->followers, &follower->name);
        return;
    }
    tv_file_name **link = &folder->by_pattern;
    while (*link != &follower->name)
        link = &(*link)->next;
    *link = follower->name.next;
}

int tv_file_follow(void **place, uv_loop_t *loop, const char *path, tv_file_follower *follower) {
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    folders *all = folders_in(place);
    if (!all) return UV_ENOMEM;
    tv_file_folder *folder = find(all, path, length);
    int result = folder ? 0 : enter(all, loop, path, length, &folder);
    if (result != 0) return result;
    follower->name.name = path + length;
    if (enlist(folder, follower)) {
        follower->folder = folder;
        return 0;
    }
    leave_if_empty(folder);
    return UV_ENOMEM;
}

bool tv_file_is_reported(tv_file_follower *follower, tv_file_identity now) {
    tv_file_folder *folder = follower->folder;
    if (!folder) return false;
    if (now.inode != 0 && now.device == folder->watched.device && now.inode == folder->watched.inode) return true;
    uv_fs_event_stop(&folder->watch);
    if (start_watch(folder) != 0) folder->watched = (tv_file_identity){0};
    return false;
}

void tv_file_unfollow(tv_file_follower *follower) {
    tv_file_folder *folder = follower->folder;
    if (!folder) return;
    follower->folder = NULL;
    strike_off(folder, follower);
    leave_if_empty(folder);
}

// Once: what is short is short for all of thousands of files.
void tv_file_say_unreported(const char *place, const char *path, int uv_error, int64_t poll_ns) {
    static _Atomic bool said;
    if (atomic_exchange(&said, true)) return;
    const char *remedy = "";
    if (uv_error == UV_ENOSPC) remedy = "; raise fs.inotify.max_user_watches";
    if (uv_error == UV_EMFILE) remedy = "; raise fs.inotify.max_user_instances";
    char poll[32];
    tv_log(TV_LEVEL_WARN, place,
           "%s: the system gives no notice of changes (%s%s); looking every %s (said once for all files)", path,
           uv_strerror(uv_error), remedy, tv_format_duration(poll_ns, poll));
}
