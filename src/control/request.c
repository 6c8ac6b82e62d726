// Requests: what can be said of a line without knowing the verbs, and the answers.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/internal.h"

static const uint64_t ID_MAX = 1ull << 53;

// ---- answers ----------------------------------------------------------------------------------------------------

// Takes the document over. NULL, with *length 0: out of memory.
static char *print_line(yyjson_mut_doc *document, size_t *length) {
    return tv_json_write(document, TV_JSON_LINE, length);
}

// Documents are made of many small pieces, each of which may find no memory: counted, so that no answer is sent from
// which something is missing.
static void *count_failure(void *user, void *memory) {
    if (!memory) ((tv_server *)user)->failures++;
    return memory;
}

static void *counted_malloc(void *user, size_t size) { return count_failure(user, malloc(size)); }

static void *counted_realloc(void *user, void *old, size_t old_size, size_t size) {
    (void)old_size;
    return count_failure(user, realloc(old, size));
}

static void plain_free(void *user, void *memory) {
    (void)user;
    free(memory);
}

void tv_server_allocator_init(tv_server *control) {
    control->allocator = (yyjson_alc){counted_malloc, counted_realloc, plain_free, control};
}

static yyjson_mut_doc *make_error(const uint64_t *id, const char *status, const char *message) {
    yyjson_mut_doc *document = yyjson_mut_doc_new(NULL);
    if (!document) return NULL;
    yyjson_mut_val *root = yyjson_mut_obj(document);
    yyjson_mut_doc_set_root(document, root);
    if (id)
        yyjson_mut_obj_add_uint(document, root, "id", *id);
    else
        yyjson_mut_obj_add_null(document, root, "id");
    yyjson_mut_obj_add_bool(document, root, "ok", false);
    yyjson_mut_val *error = yyjson_mut_obj_add_obj(document, root, "error");
    yyjson_mut_obj_add_strcpy(document, error, "status", status);
    yyjson_mut_obj_add_strcpy(document, error, "message", message);
    return document;
}

static void write_document(tv_server_client *client, yyjson_mut_doc *document) {
    size_t length = 0;
    char *text = document ? print_line(document, &length) : NULL;
    if (text)
        tv_server_client_write(client, text, length);
    else
        tv_server_client_close(client); // it would wait for an answer for ever
}

void tv_server_complain(tv_server_client *client, const char *status, const char *message) {
    client->control->stats.errors++;
    write_document(client, make_error(NULL, status, message));
}

static yyjson_mut_doc *make(tv_server_request *request, yyjson_mut_val **root) {
    request->failures_before = request->client->control->failures;
    yyjson_mut_doc *document = yyjson_mut_doc_new(&request->client->control->allocator);
    *root = document ? yyjson_mut_obj(document) : NULL;
    if (!*root) {
        yyjson_mut_doc_free(document);
        return NULL;
    }
    yyjson_mut_doc_set_root(document, *root);
    yyjson_mut_obj_add_uint(document, *root, "id", request->id);
    return document;
}

yyjson_mut_doc *tv_server_answer(tv_server_request *request, yyjson_mut_val **root) {
    yyjson_mut_doc *document = make(request, root);
    if (document)
        yyjson_mut_obj_add_bool(document, *root, "ok", true);
    else
        tv_server_fail(request, "no-memory", "out of memory");
    return document;
}

yyjson_mut_doc *tv_server_event(tv_server_request *request, yyjson_mut_val **event) {
    yyjson_mut_val *root;
    yyjson_mut_doc *document = make(request, &root);
    if (document) *event = yyjson_mut_obj_add_obj(document, root, "event");
    return document;
}

yyjson_mut_doc *tv_server_done(tv_server_request *request, yyjson_mut_val **root) {
    yyjson_mut_doc *document = make(request, root);
    if (document) yyjson_mut_obj_add_bool(document, *root, "done", true);
    return document;
}

// Why the line cannot be sent; NULL if it can.
static const char *defect(const tv_server_request *request, const char *text, size_t length, const char **status) {
    *status = "no-memory";
    if (!text || request->failures_before != request->client->control->failures) return "out of memory";
    *status = "too-large";
    return length > TV_SERVER_LINE_BYTES_MAX + 1 ? "the answer is longer than a line; ask for less (limit)" : NULL;
}

bool tv_server_send(tv_server_request *request, yyjson_mut_doc *document, bool last) {
    size_t length = 0;
    const char *status;
    char *text = document ? print_line(document, &length) : NULL;
    const char *problem = defect(request, text, length, &status);
    if (problem) {
        free(text);
        if (last)
            tv_server_fail(request, status, "%s", problem);
        else
            request->client->control->stats.errors++;
        return false;
    }
    tv_server_client *client = request->client;
    if (last) tv_server_request_free(request);
    tv_server_client_write(client, text, length);
    return true;
}

void tv_server_fail(tv_server_request *request, const char *status, const char *format, ...) {
    char message[TV_ERROR_MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    tv_server_client *client = request->client;
    uint64_t id = request->id;
    client->control->stats.errors++;
    tv_server_request_free(request);
    write_document(client, make_error(&id, status, message));
}

// What docs/control.md calls it; tv_status_name is for people.
static const char *status_word(tv_status status) {
    switch (status) {
    case TV_NOT_FOUND: return "not-found";
    case TV_EXISTS: return "exists";
    case TV_TOO_LARGE: return "too-large";
    case TV_LIMIT:
    case TV_FULL: return "limit";
    case TV_NO_MEMORY: return "no-memory";
    case TV_IO: return "io";
    case TV_DENIED: return "denied";
    case TV_UNSUPPORTED: return "unsupported";
    case TV_FAULT: return "fault";
    case TV_INTERRUPTED: return "timeout";
    case TV_AGAIN: return "busy";
    case TV_OK:
    case TV_EMPTY:
    case TV_EOF:
    case TV_INVALID: break;
    }
    return "invalid";
}

void tv_server_fail_with(tv_server_request *request, const tv_error *error) {
    tv_server_fail(request, status_word(error->status), "%s", error->message);
}

bool tv_server_may_stream(const tv_server_request *request) {
    enum { WAITING_BYTES = 256 << 10 };
    return !request->client->closing && request->client->waiting_bytes <= WAITING_BYTES &&
           request->client->control->bytes <= TV_SERVER_BYTES_MAX / 2;
}

bool tv_server_same_client(const tv_server_request *a, const tv_server_request *b) { return a->client == b->client; }

yyjson_val *tv_server_body(const tv_server_request *request) { return yyjson_doc_get_root(request->document); }

// ---- life of a request --------------------------------------------------------------------------------------------

void tv_server_on_gone(tv_server_request *request, void (*gone)(void *user, tv_server_request *request, bool cancelled),
                       void *user) {
    request->gone = gone;
    request->gone_user = user;
}

void tv_server_request_free(tv_server_request *request) {
    tv_server_client *client = request->client;
    if (request->previous)
        request->previous->next = request->next;
    else
        client->requests = request->next;
    if (request->next) request->next->previous = request->previous;
    client->request_count--;
    client->control->bytes -= request->bytes;
    yyjson_doc_free(request->document);
    free(request);
}

// Tells the owner, which is told once.
static void tell_gone(tv_server_request *request, bool cancelled) {
    void (*gone)(void *, tv_server_request *, bool) = request->gone;
    request->gone = NULL;
    if (gone) gone(request->gone_user, request, cancelled);
}

void tv_server_requests_gone(tv_server_client *client) {
    while (client->requests) {
        tv_server_request *request = client->requests;
        tell_gone(request, false); // NOLINT(clang-analyzer-unix.Malloc): freeing it makes another one the first
        tv_server_request_free(request);
    }
}

void tv_server_requests_end(tv_server_client *client) {
    while (client->requests) {
        tv_server_request *request = client->requests;
        tell_gone(request, true);
        if (client->requests == request) tv_server_fail(request, "busy", "the pipeline has ended");
    }
}

static tv_server_request *find_request(tv_server_client *client, uint64_t id) {
    for (tv_server_request *request = client->requests; request; request = request->next)
        if (request->id == id) return request;
    return NULL;
}

// `bytes` are charged. Out of memory: NULL, and the document is freed.
static tv_server_request *request_new(tv_server_client *client, uint64_t id, yyjson_doc *document, size_t bytes) {
    tv_server_request *request = calloc(1, sizeof *request);
    if (!request) {
        client->control->bytes -= bytes;
        yyjson_doc_free(document);
        return NULL;
    }
    *request =
        (tv_server_request){.client = client, .next = client->requests, .id = id, .document = document, .bytes = bytes};
    if (request->next) request->next->previous = request;
    client->requests = request;
    client->request_count++;
    return request;
}

// ---- fields -----------------------------------------------------------------------------------------------------

static bool field_is_known(const tv_server_verb *verb, const char *name) {
    if (strcmp(name, "id") == 0 || strcmp(name, "verb") == 0) return true;
    for (const char *const *field = verb->fields; *field; field++)
        if (strcmp(*field, name) == 0) return true;
    return false;
}

static bool refuse_unknown_fields(tv_server_request *request, const tv_server_verb *verb, yyjson_val *body) {
    size_t index, count, known = 0;
    yyjson_val *key, *value;
    while (verb->fields[known])
        known++;
    yyjson_obj_foreach(body, index, count, key, value) {
        const char *name = yyjson_get_str(key);
        if (field_is_known(verb, name)) continue;
        const char *nearest = tv_nearest_name(name, verb->fields, known);
        tv_server_fail(request, "invalid", "%s has no field '%.64s'%s%s%s", verb->name, name,
                       nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
        return true;
    }
    return false;
}

// ---- cancel -----------------------------------------------------------------------------------------------------

// A verb of the server's own: it is about requests.
static void run_cancel(void *user, tv_server_request *request, yyjson_val *body) {
    (void)user;
    tv_server_reader reader = {.body = body};
    tv_server_client *client = request->client;
    uint64_t id = tv_server_number(&reader, "stream", 0, ID_MAX, UINT64_MAX);
    if (id == UINT64_MAX) tv_server_problem(&reader, "cancel needs `stream`, the id of the request that is to end");
    if (tv_server_refuse(request, &reader)) return;
    tv_server_request *stream = find_request(client, id);
    if (!stream || stream == request || !stream->gone) {
        tv_server_fail(request, "not-found", "no stream has the id %llu", (unsigned long long)id);
        return;
    }
    tell_gone(stream, true);
    if (find_request(client, id) == stream) tv_server_request_free(stream);
    yyjson_mut_val *root;
    yyjson_mut_doc *document = tv_server_answer(request, &root);
    if (document) tv_server_send(request, document, true);
}

static const char *const cancel_fields[] = {"stream", NULL};
static const tv_server_verb cancel_verb = {"cancel", cancel_fields, run_cancel};

// ---- a line -----------------------------------------------------------------------------------------------------

static const tv_server_verb *find_verb(const tv_server *control, const char *name) {
    if (strcmp(name, cancel_verb.name) == 0) return &cancel_verb;
    for (size_t i = 0; i < control->options.verb_count; i++)
        if (strcmp(control->options.verbs[i].name, name) == 0) return &control->options.verbs[i];
    return NULL;
}

static void refuse_verb(tv_server_request *request, const char *name) {
    const tv_server *control = request->client->control;
    const char *names[65];
    size_t count = 0;
    names[count++] = cancel_verb.name;
    for (size_t i = 0; i < control->options.verb_count && count < 65; i++)
        names[count++] = control->options.verbs[i].name;
    const char *nearest = tv_nearest_name(name, names, count);
    tv_server_fail(request, "not-found", "there is no verb '%.64s'%s%s%s", name, nearest ? "; did you mean '" : "",
                   nearest ? nearest : "", nearest ? "'?" : "");
}

static void dispatch(tv_server_request *request, yyjson_val *body) {
    yyjson_val *verb_value = yyjson_obj_get(body, "verb");
    const char *name = yyjson_get_str(verb_value);
    if (!name) {
        tv_server_fail(request, "invalid", "`verb` is missing, or no text");
        return;
    }
    const tv_server *control = request->client->control;
    const tv_server_verb *verb = find_verb(control, name);
    if (!verb)
        refuse_verb(request, name);
    else if (!refuse_unknown_fields(request, verb, body))
        verb->run(control->options.user, request, body);
}

static bool id_of(yyjson_val *body, uint64_t *id) {
    yyjson_val *value = yyjson_obj_get(body, "id");
    if (!yyjson_is_uint(value) || yyjson_get_uint(value) > ID_MAX) return false;
    *id = yyjson_get_uint(value);
    return true;
}

// Why a request with this id cannot be taken; NULL if it can, and its bytes are charged.
static const char *objection(tv_server_client *client, uint64_t id, size_t bytes, const char **status) {
    *status = "invalid";
    if (find_request(client, id)) return "a request with this id is not answered yet";
    *status = "limit";
    if (client->request_count >= TV_SERVER_REQUESTS_MAX) return "32 requests are not answered yet";
    return tv_server_charge(client->control, bytes) ? NULL : "too much is held for all clients; ask again";
}

// `length` is that of its line.
static void take_document(tv_server_client *client, yyjson_doc *document, size_t length) {
    size_t bytes = sizeof(tv_server_request) + yyjson_read_max_memory_usage(length, YYJSON_READ_NOFLAG);
    yyjson_val *body = yyjson_doc_get_root(document);
    uint64_t id;
    const char *status;
    if (!yyjson_is_obj(body) || !id_of(body, &id)) {
        tv_server_complain(client, "invalid",
                           yyjson_is_obj(body) ? "`id` is missing, or no whole number from 0 to 2^53"
                                               : "a request is a JSON object");
        yyjson_doc_free(document);
        return;
    }
    const char *problem = objection(client, id, bytes, &status);
    if (problem) {
        client->control->stats.errors++;
        write_document(client, make_error(&id, status, problem));
        yyjson_doc_free(document);
        return;
    }
    tv_server_request *request = request_new(client, id, document, bytes);
    if (request)
        dispatch(request, body);
    else
        tv_server_client_close(client);
}

void tv_server_line(tv_server_client *client, char *line, size_t length) {
    yyjson_read_err problem;
    if (length && line[length - 1] == '\r') length--;
    if (!length) return;
    client->control->stats.requests++;
    yyjson_doc *document = yyjson_read_opts(line, length, YYJSON_READ_NOFLAG, NULL, &problem);
    if (document) {
        take_document(client, document, length);
        return;
    }
    if (problem.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        tv_server_complain(client, "no-memory", "out of memory");
        return;
    }
    char message[128];
    snprintf(message, sizeof message, "no JSON: %s at byte %zu", problem.msg, problem.pos);
    tv_server_complain(client, "invalid", message);
}
