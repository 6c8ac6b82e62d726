// Whose line is next, and how much of the thread that serves all connectors goes to clients.
//
// What is done for clients is measured and paid from a credit that grows by a quarter of the time that passes, up to
// ten milliseconds. Who is out of credit waits: a client that asks for much, or many that do, get a quarter of the
// thread, and connectors have their turn after each request. A request is never cut short; what it owes is waited for.
#include "control/internal.h"

enum { READ_ON_BYTES = 512 << 10 }; // output of a client that waits, beyond which its requests wait

static int64_t now_ns(void) { return tv_clock_monotonic_ns(tv_clock_system()); }

static void count_credit(tv_server *control) {
    int64_t now = now_ns();
    control->credit_ns += (now - control->credited_ns) / TV_SERVER_SHARE;
    if (control->credit_ns > TV_SERVER_BURST_NS) control->credit_ns = TV_SERVER_BURST_NS;
    control->credited_ns = now;
}

void tv_server_worked(tv_server *control, int64_t begin_ns) { control->credit_ns -= now_ns() - begin_ns; }

uint64_t tv_server_rest_ms(tv_server *control) {
    count_credit(control);
    return control->credit_ns > 0 ? 0 : (uint64_t)(-control->credit_ns * TV_SERVER_SHARE / 1000000 + 1);
}

// Behind all others: it has had its turn.
static void move_back(tv_server_client *client) {
    if (!client->next) return;
    tv_server_client *last = client->next;
    while (last->next)
        last = last->next;
    tv_server_client_unlink(client);
    last->next = client;
    client->previous = last;
}

static tv_server_client *next_client(tv_server *control) {
    for (tv_server_client *client = control->clients; client; client = client->next)
        if (client->has_line && client->waiting_bytes < READ_ON_BYTES && !client->leaving) return client;
    return NULL;
}

void tv_server_take_turns(tv_server *control) {
    tv_server_client *client;
    uint64_t rest_ms = 0;
    if (control->in_turns || control->closing) return; // a verb that answers at once comes back here
    control->in_turns = true;
    while ((client = next_client(control)) != NULL && (rest_ms = tv_server_rest_ms(control)) == 0) {
        int64_t begin_ns = now_ns();
        move_back(client);
        tv_server_client_take_line(client);
        tv_server_worked(control, begin_ns);
    }
    control->in_turns = false;
    if (client) uv_timer_start(&control->turn_timer, tv_server_on_turn, rest_ms, 0);
}

void tv_server_on_turn(uv_timer_t *timer) { tv_server_take_turns(timer->data); }
