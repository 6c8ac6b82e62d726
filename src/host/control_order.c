// What a request says of a flow: settings, and what is needed to make one.
#include <stdlib.h>
#include <string.h>

#include "host/control_change.h"

// ---- settings -------------------------------------------------------------------------------------------------------

void tv_host_check_keys(tv_server_reader *reader, const char *of, yyjson_val *object, const char *const *known) {
    size_t index, count, names = 0;
    yyjson_val *key, *value;
    while (known[names])
        names++;
    yyjson_obj_foreach(object, index, count, key, value) {
        const char *name = yyjson_get_str(key);
        bool found = false;
        for (size_t i = 0; i < names; i++)
            found = found || strcmp(known[i], name) == 0;
        if (found || reader->problem[0]) continue; // one is enough
        const char *nearest = tv_nearest_name(name, known, names);
        tv_server_problem(reader, "`%s` has no key '%.40s'%s%s%s", of, name, nearest ? "; did you mean '" : "",
                          nearest ? nearest : "", nearest ? "'?" : "");
    }
}

static void read_duration(tv_server_reader *reader, const char *name, int64_t *ns, bool *given) {
    const char *text = tv_server_text(reader, name);
    tv_error error;
    *given = text != NULL;
    if (text && tv_parse_duration(text, ns, &error) != TV_OK)
        tv_server_problem(reader, "`%s`: %s", name, error.message);
}

static const char *const class_choices[] = {"critical", "high", "normal", "background", NULL};
_Static_assert(TV_CLASS_CRITICAL == 0 && TV_CLASS_BACKGROUND == 3, "class choices");

// {"records":500,"bytes":"1MiB","burst":"1s"}: what is not there is no limit.
static void read_rate(tv_server_reader *reader, tv_flow_settings *settings) {
    static const char *const keys[] = {"records", "bytes", "burst", NULL};
    yyjson_val *rate = yyjson_obj_get(reader->body, "rate");
    tv_server_reader inner = {.body = rate};
    tv_error error;
    bool given;
    if (!rate) return;
    if (!yyjson_is_obj(rate)) tv_server_problem(reader, "`rate` must be an object: records, bytes, burst");
    if (reader->problem[0]) return;
    tv_host_check_keys(&inner, "rate", rate, keys);
    settings->fields |= TV_SET_RATE;
    settings->rate_records_per_s = tv_server_number(&inner, "records", 0, 1ull << 53, 0);
    if (yyjson_is_str(yyjson_obj_get(rate, "bytes"))) {
        if (tv_parse_size(yyjson_get_str(yyjson_obj_get(rate, "bytes")), &settings->rate_bytes_per_s, &error) != TV_OK)
            tv_server_problem(&inner, "`rate.bytes`: %s", error.message);
    } else {
        settings->rate_bytes_per_s = tv_server_number(&inner, "bytes", 0, 1ull << 53, 0);
    }
    read_duration(&inner, "burst", &settings->rate_burst_ns, &given);
    if (inner.problem[0]) tv_server_problem(reader, "%s", inner.problem);
}

void tv_host_settings_read(tv_server_reader *reader, tv_flow_settings *settings) {
    bool given;
    *settings = (tv_flow_settings){0};
    int class = tv_server_choice(reader, "class", class_choices);
    if (class >= 0) {
        settings->fields |= TV_SET_CLASS;
        settings->class = (tv_class) class;
    }
    uint64_t quantum = tv_server_number(reader, "quantum", 0, 1 << 20, UINT64_MAX);
    if (quantum != UINT64_MAX) {
        settings->fields |= TV_SET_QUANTUM;
        settings->quantum_records = (uint32_t)quantum;
    }
    read_duration(reader, "turn", &settings->turn_ns, &given);
    if (given) settings->fields |= TV_SET_TURN;
    read_duration(reader, "cpu", &settings->cpu_per_s_ns, &given);
    if (given) settings->fields |= TV_SET_CPU;
    read_rate(reader, settings);
}

void tv_host_settings_apply(tv_flow_model *model, const tv_flow_settings *settings) {
    if (settings->fields & TV_SET_CLASS) model->class = settings->class;
    if (settings->fields & TV_SET_QUANTUM) model->quantum_records = settings->quantum_records;
    if (settings->fields & TV_SET_TURN) model->turn_ns = settings->turn_ns;
    if (settings->fields & TV_SET_CPU) model->cpu_per_s_ns = settings->cpu_per_s_ns;
    if (settings->fields & TV_SET_RATE)
        model->rate =
            (tv_rate_model){settings->rate_records_per_s, settings->rate_bytes_per_s, settings->rate_burst_ns};
}

void tv_host_settings_merge(tv_flow_settings *over, const tv_flow_settings *settings) {
    over->fields |= settings->fields;
    if (settings->fields & TV_SET_CLASS) over->class = settings->class;
    if (settings->fields & TV_SET_QUANTUM) over->quantum_records = settings->quantum_records;
    if (settings->fields & TV_SET_TURN) over->turn_ns = settings->turn_ns;
    if (settings->fields & TV_SET_CPU) over->cpu_per_s_ns = settings->cpu_per_s_ns;
    if (!(settings->fields & TV_SET_RATE)) return;
    over->rate_records_per_s = settings->rate_records_per_s;
    over->rate_bytes_per_s = settings->rate_bytes_per_s;
    over->rate_burst_ns = settings->rate_burst_ns;
}

tv_status tv_host_settings_keep(tv_host_flow *flow, const tv_flow_settings *settings, tv_error *error) {
    if (!settings->fields) return TV_OK;
    if (!flow->kept) flow->kept = calloc(1, sizeof *flow->kept);
    if (!flow->kept) return tv_error_set(error, TV_NO_MEMORY, "flow %s: out of memory", flow->entry.name);
    tv_host_settings_merge(flow->kept, settings);
    return TV_OK;
}

// ---- parameters and orders ------------------------------------------------------------------------------------------

void tv_host_order_deinit(tv_host_order *made) {
    for (size_t i = 0; i < made->order.parameter_count; i++)
        free(made->values[i]);
}

void tv_host_order_read(tv_server_reader *reader, yyjson_val *object, tv_host_order *made) {
    size_t index, count;
    yyjson_val *key, *value;
    if (!object || yyjson_is_null(object)) return;
    if (!yyjson_is_obj(object) || yyjson_obj_size(object) > TV_HOST_PARAMETERS_MAX) {
        tv_server_problem(reader, "`parameters` must be an object of at most %d names and values",
                          TV_HOST_PARAMETERS_MAX);
        return;
    }
    made->order.parameters = made->parameters;
    yyjson_obj_foreach(object, index, count, key, value) {
        size_t at = made->order.parameter_count++;
        const char *text = yyjson_get_str(value);
        bool is_plain = text ? strlen(text) == yyjson_get_len(value) : yyjson_is_num(value) || yyjson_is_bool(value);
        if (!text && is_plain) text = made->values[at] = yyjson_val_write(value, 0, NULL);
        if (!is_plain || !text)
            tv_server_problem(reader, "parameter '%.40s' must be a text or a number", yyjson_get_str(key));
        made->parameters[at] = (tv_flow_parameter){yyjson_get_str(key), text ? text : ""};
    }
}

// The first error with its hint, as one message.
static void fail_with_diagnostics(tv_server_request *request, tv_status status, const tv_diagnostics *diagnostics) {
    const tv_diagnostic *first = NULL;
    for (size_t i = 0; i < diagnostics->count && !first; i++)
        if (diagnostics->items[i].severity == TV_SEVERITY_ERROR) first = &diagnostics->items[i];
    const char *name = status == TV_NOT_FOUND ? "not-found" : status == TV_NO_MEMORY ? "no-memory" : "invalid";
    if (!first)
        tv_server_fail(request, name, "the flow cannot be made: %s", tv_status_name(status));
    else
        tv_server_fail(request, name, "%s%s%s%s%s%s", first->path && first->path[0] ? first->path : "",
                       first->path && first->path[0] ? ": " : "", first->message, first->hint ? " (" : "",
                       first->hint ? first->hint : "", first->hint ? ")" : "");
}

tv_flow_model *tv_host_order_model(tv_host_control *control, tv_server_request *request, const tv_flow_order *wanted) {
    tv_diagnostics diagnostics = {0};
    tv_flow_model *model = NULL;
    tv_status status = tv_host_flow_model_new(control->runner->model, wanted, &diagnostics, &model);
    if (status != TV_OK) fail_with_diagnostics(request, status, &diagnostics);
    tv_diagnostics_deinit(&diagnostics);
    return status == TV_OK ? model : NULL;
}
