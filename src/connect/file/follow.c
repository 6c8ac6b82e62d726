// Following: when to look for what has become of the file, what that means, and the way to the file that comes next.
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connect/file/claims.h"
#include "connect/file/input.h"

enum {
    // Where notices come, looking is for what they cannot tell: so many times more seldom, and at least once a minute.
    NOTICED_POLLS = 10,
    NOTICED_POLL_MS_MAX = 60000,
};

// ---- pace ---------------------------------------------------------------------------------------------------

static bool notices_suffice(const tv_file_input *input) {
    return input->noticed && !input->unreadable && input->successor_count == 0;
}

static uint64_t poll_ms(const tv_file_input *input) {
    uint64_t often_ms = (uint64_t)input->options.poll_ns / 1000000, seldom_ms = often_ms * NOTICED_POLLS;
    if (!notices_suffice(input)) return often_ms;
    if (seldom_ms <= NOTICED_POLL_MS_MAX) return seldom_ms;
    return often_ms > NOTICED_POLL_MS_MAX ? often_ms : NOTICED_POLL_MS_MAX;
}

// Every look wakes two threads: an idle file costs next to nothing only if there are few of them.
void tv_file_follow_set_pace(tv_file_input *input) {
    uint64_t pace_ms = poll_ms(input);
    if (uv_timer_get_repeat(&input->timer) != pace_ms)
        uv_timer_start(&input->timer, tv_file_follow_on_timer, pace_ms, pace_ms);
}

// ---- what a look has found ----------------------------------------------------------------------------------

static bool switch_due(const tv_file_input *input) {
    if (input->successor_count == 0) return false;
    int64_t waited_ns = tv_clock_monotonic_ns(input->clock) - input->successors[0].found_ns;
    return input->fd < 0 || !tv_file_follows(input) || waited_ns >= input->options.rotate_wait_ns;
}

static void note_return(tv_file_input *input) {
    if (input->absent_looks >= 2)
        tv_log(TV_LEVEL_INFO, input->place, "%s %s", input->current, input->was_there ? "is back" : "has appeared");
    input->absent_looks = 0;
    input->was_there = true;
}

// A file that was renamed and is still open is no trouble: its writer begins the new one when it has something to say.
static void note_absence(tv_file_input *input) {
    if (input->view.presence != TV_FILE_ABSENT) {
        note_return(input);
        return;
    }
    // The first look may have fallen between the renaming and the new file of a rotation.
    if (++input->absent_looks != 2) return;
    bool is_renamed = input->view.is_linked;
    input->absences++;
    input->trouble_since_ns = tv_clock_monotonic_ns(input->clock);
    tv_log(is_renamed ? TV_LEVEL_INFO : TV_LEVEL_WARN, input->place, "%s: %s; waiting for the file to return",
           input->current, is_renamed ? "it was renamed" : strerror(input->view.os_errno));
}

static void say_unseen(tv_file_input *input) {
    close(input->view.new_fd); // its lines come when there is a place, unless it is rotated before that
    free(input->view.new_path);
    // A file with a name of its own stays there to be found.
    if (input->view.new_path || input->rotations_unseen++ > 0) return;
    tv_log(TV_LEVEL_WARN, input->place, "%s: %d rotated files are waiting to be read; further ones may be missed",
           input->current, TV_FILE_SUCCESSORS_MAX);
}

static void say_unopened(tv_file_input *input) {
    uint64_t occurrences;
    if (!tv_file_follows(input)) {
        tv_file_input_fail(input, input->view.new_path, 0, input->view.os_errno);
        return;
    }
    if (!tv_complaint_due(&input->successor_complaint, tv_clock_monotonic_ns(input->clock), &occurrences)) return;
    tv_log(TV_LEVEL_WARN, input->place, "%s: cannot open %s, which comes next: %s; trying again", input->path,
           input->view.new_path, strerror(input->view.os_errno));
}

// It would read what comes out. The file stays where it is, and so does this.
static void say_own_output(tv_file_input *input) {
    uint64_t occurrences;
    if (tv_complaint_due(&input->successor_complaint, tv_clock_monotonic_ns(input->clock), &occurrences))
        tv_log(TV_LEVEL_ERROR, input->place, "%s is the file of an output now: it is not read",
               input->view.new_path ? input->view.new_path : input->current);
    close(input->view.new_fd);
    free(input->view.new_path);
    input->view.new_path = NULL;
}

static void take_successor(tv_file_input *input) {
    tv_file_view *view = &input->view;
    if (view->presence != TV_FILE_OTHER) {
        if (view->new_path) say_unopened(input);
        free(view->new_path);
        view->new_path = NULL;
        return;
    }
    if (input->successor_count == TV_FILE_SUCCESSORS_MAX) {
        say_unseen(input);
        return;
    }
    int64_t now_ns = tv_clock_monotonic_ns(input->clock);
    if (!tv_file_claim_take(view->new_fd, TV_FILE_CLAIM_READ)) {
        say_own_output(input);
        return;
    }
    input->successors[input->successor_count++] =
        (tv_file_successor){view->new_fd, now_ns - view->new_age_ns, view->new_path};
    int64_t wait_ns = input->options.rotate_wait_ns, poll_ns = input->options.poll_ns;
    if (view->new_path) input->look_again = true; // there may be more of them
    if (input->fd < 0 || !tv_file_follows(input) || wait_ns == 0 || wait_ns >= poll_ns) return;
    uv_timer_start(&input->timer, tv_file_follow_on_timer, (uint64_t)wait_ns / 1000000 + 1,
                   (uint64_t)poll_ns / 1000000);
}

void tv_file_follow_go_over(tv_file_input *input) {
    tv_file_successor next = input->successors[0];
    if (input->fd >= 0) {
        input->rotations++;
        if (next.path)
            tv_log(TV_LEVEL_INFO, input->place, "%s is read to its end; reading %s", input->current, next.path);
        else
            tv_log(TV_LEVEL_INFO, input->place, "%s was rotated; reading the new file", input->current);
        tv_file_claim_release(input->fd, TV_FILE_CLAIM_READ);
        close(input->fd);
    }
    input->fd = next.fd;
    if (next.path) {
        if (input->current != input->path) free(input->current);
        input->intake.options.source = input->current = next.path;
    }
    input->successor_count--;
    memmove(input->successors, input->successors + 1, input->successor_count * sizeof *input->successors);
}

void tv_file_successors_close(tv_file_input *input) {
    for (unsigned i = 0; i < input->successor_count; i++) {
        tv_file_claim_release(input->successors[i].fd, TV_FILE_CLAIM_READ);
        close(input->successors[i].fd);
        free(input->successors[i].path);
    }
    input->successor_count = 0;
}

static void cut(tv_file_input *input, bool switching) {
    input->switching = switching;
    input->rewritten = input->view.size_bytes >= tv_file_used_offset(input);
    tv_file_input_set_state(input, TV_FILE_CUTTING);
}

// The file ends within the NUL bytes that were held back: what was reserved has been given back.
static void mind_shorter_file(tv_file_input *input) {
    uint64_t used = tv_file_used_offset(input), size = input->view.size_bytes;
    if (used == input->read_offset || size >= input->read_offset || size < used) return;
    input->read_offset = size;
    if (size == used) input->nul_offset = TV_FILE_NO_OFFSET;
}

static void act_at_end(tv_file_input *input) {
    bool due = switch_due(input);
    bool readable = input->fd >= 0 && !(input->unreadable && due);
    if (!tv_file_follows(input)) { // there is another file to be read once, or there is none
        if (due)
            cut(input, true);
        else
            tv_file_input_set_state(input, TV_FILE_FINISHING);
        return;
    }
    mind_shorter_file(input);
    switch (tv_file_judge(&input->view, readable, tv_file_used_offset(input), input->read_offset, due)) {
    case TV_FILE_WAIT: break;
    case TV_FILE_READ_ON:
        if (input->view.is_written) tv_file_read_nul_bytes_again(input);
        input->at_end = false;
        tv_file_input_set_state(input, TV_FILE_READING);
        break;
    case TV_FILE_RESTART: cut(input, false); break;
    case TV_FILE_SWITCH: cut(input, true); break;
    }
}

// ---- looking ------------------------------------------------------------------------------------------------

// What it looks at was chosen before: the reading goes on beside it. The newest file cannot be closed meanwhile, as
// that takes a newer one, which only a look brings.
static void run_look(uv_work_t *work) {
    tv_file_input *input = work->data;
    tv_file_look(&input->look_at, &input->view);
}

// Changes are reported for the folder, so that a new file under the same name is seen as well. Where it fails it is
// tried again with every look, which are frequent then: the folder may come, or another file no longer be followed.
static void watch(tv_file_input *input) {
    int result = tv_file_follow(input->folders, input->timer.loop, input->path, &input->follower);
    if (result != 0 && result != UV_ENOENT)
        tv_file_say_unreported(input->place, input->path, result, input->options.poll_ns);
}

static void mind_notices(tv_file_input *input) {
    bool is_reported = tv_file_is_reported(&input->follower, input->view.folder);
    if (!input->follower.folder) watch(input); // counts from the next look on
    input->noticed = is_reported && input->view.is_noticed && input->view.presence == TV_FILE_SAME;
    tv_file_follow_set_pace(input);
}

static void drop_view(tv_file_input *input) {
    if (input->view.new_fd >= 0) close(input->view.new_fd);
    free(input->view.new_path);
    input->view.new_path = NULL;
}

static void on_look(uv_work_t *work, int status) {
    tv_file_input *input = work->data;
    input->looking = false;
    if (input->state == TV_FILE_ENDED || status != 0) {
        if (status == 0) drop_view(input);
        tv_file_input_go_on(input);
        return;
    }
    if (tv_file_follows(input)) note_absence(input);
    take_successor(input);
    if (input->look_decides && input->state == TV_FILE_WAITING) act_at_end(input);
    if (tv_file_follows(input)) mind_notices(input);
    if (input->look_again) tv_file_follow_look(input);
    tv_file_input_go_on(input);
}

void tv_file_follow_look(tv_file_input *input) {
    if (input->looking) {
        input->look_again = true;
        return;
    }
    input->look_again = false;
    input->look_decides = input->state == TV_FILE_WAITING;
    input->look_at =
        (tv_file_look_at){.path = input->current, .newest_fd = input->fd, .fd = -1, .nul_offset = TV_FILE_NO_OFFSET};
    for (unsigned i = 0; i < input->successor_count; i++) {
        input->look_at.newest_fd = input->successors[i].fd;
        if (input->successors[i].path) input->look_at.path = input->successors[i].path;
    }
    if (tv_file_has_pattern(input)) {
        input->look_at.pattern = input->path;
        input->look_at.from_first = input->options.match == TV_FILE_MATCH_ALL;
    }
    if (input->look_decides) {
        input->look_at.fd = input->fd;
        input->look_at.mark = &input->mark;
        input->look_at.nul_offset = input->nul_offset;
    }
    input->look.data = input;
    input->looking = uv_queue_work(input->timer.loop, &input->look, run_look, on_look) == 0;
}

// While there is something to read, only changes of names matter.
static void on_change(tv_file_follower *follower, bool renamed) {
    tv_file_input *input = (tv_file_input *)((char *)follower - offsetof(tv_file_input, follower));
    if (input->state == TV_FILE_ENDED || input->unreadable) return;
    if (input->state == TV_FILE_WAITING || renamed) tv_file_follow_look(input);
}

void tv_file_follow_on_timer(uv_timer_t *timer) {
    tv_file_input *input = timer->data;
    if (input->state != TV_FILE_ENDED) tv_file_follow_look(input);
}

void tv_file_follow_start(tv_file_input *input) {
    tv_file_follow_set_pace(input);
    input->follower.changed = on_change;
    input->follower.pattern = tv_file_has_pattern(input) ? input->path : NULL;
    watch(input);
}
