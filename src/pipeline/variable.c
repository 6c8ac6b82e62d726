// Recursive descent over one scalar; see variable.h for the syntax. What stands in an unused default is parsed, but
// neither looked up nor written.
#include "pipeline/variable.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

typedef struct variable_reader {
    tv_variables *variables;
    tv_variable_result *result;
    tv_text out;
    const char *at;
} variable_reader;

static bool variable_read_text(variable_reader *reader, unsigned nesting, bool active);

bool tv_variable_name_is_valid(const char *name, size_t length) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    if (length == 0 || length > TV_VARIABLE_NAME_BYTES_MAX || strchr(letters, name[0]) == NULL) return false;
    for (size_t i = 1; i < length; i++) {
        bool digit = name[i] >= '0' && name[i] <= '9';
        if (name[i] == '\0' || (!digit && strchr(letters, name[i]) == NULL)) return false;
    }
    return true;
}

static bool variable_fail(variable_reader *reader, const char *message, const char *hint) {
    snprintf(reader->result->message, sizeof(reader->result->message), "%s", message);
    snprintf(reader->result->hint, sizeof(reader->result->hint), "%s", hint);
    return false;
}

static bool variable_write(variable_reader *reader, const char *bytes, size_t length) {
    if (length > TV_VARIABLE_TEXT_BYTES_MAX - reader->out.length) {
        return variable_fail(reader, "with its variables resolved the text is longer than 64 KiB",
                             "put large texts into an asset file");
    }
    tv_text_add(&reader->out, bytes, length);
    return true;
}

// Whether the value of a table may stand in a path. Whoever fills the table says what a file is called, and must not
// say which file of the machine it is.
static bool variable_check_in_path(variable_reader *reader, const tv_parameter *parameter) {
    enum { NAME_BYTES_MAX = 255 };
    const char *value = parameter->value, *fault = NULL;
    size_t length = strlen(value);
    if (length == 0)
        fault = "is empty";
    else if (strchr(value, '/') != NULL)
        fault = "has a slash";
    else if (strspn(value, ".") == length)
        fault = "leads to another folder";
    else if (length > NAME_BYTES_MAX)
        fault = "is longer than a file's name can be (255 bytes)";
    for (const char *at = value; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f) fault = "has a control character";
    }
    if (fault == NULL && reader->variables->text == TV_OPTION_PATTERN && strpbrk(value, "*?[\\") != NULL)
        fault = "has one of the characters * ? [ \\ of patterns";
    if (fault == NULL) return true;
    snprintf(reader->result->message, sizeof(reader->result->message),
             "\"%.100s\" of column %s %s: values of a table can be parts of a file's name, no more", value,
             parameter->name, fault);
    snprintf(reader->result->hint, sizeof(reader->result->hint),
             "correct the table; folders belong into the pipeline file");
    return false;
}

// *from is the one it comes from, if it is one.
static const char *variable_find(tv_variables *variables, const char *name, const tv_parameter **from) {
    variables->resolved_count++;
    for (size_t i = 0; i < variables->parameter_count; i++) {
        tv_parameter *parameter = &variables->parameters[i];
        if (strcmp(parameter->name, name) != 0) continue;
        parameter->used = true;
        variables->parameter_hits++;
        *from = parameter;
        return parameter->value;
    }
    return variables->lookup != NULL ? variables->lookup(variables->user, name) : NULL;
}

static bool variable_fail_unset(variable_reader *reader, const char *name) {
    const char *flow = reader->variables->flow;
    snprintf(reader->result->message, sizeof(reader->result->message), "variable %s is not set", name);
    if (reader->variables->table != NULL) {
        size_t length = (size_t)snprintf(reader->result->hint, sizeof(reader->result->hint),
                                         "%.200s has no such column; known are", reader->variables->table);
        for (size_t i = 0; i < reader->variables->parameter_count && length < sizeof(reader->result->hint); i++) {
            length += (size_t)snprintf(reader->result->hint + length, sizeof(reader->result->hint) - length, "%s %s",
                                       i > 0 ? "," : "", reader->variables->parameters[i].name);
        }
    } else if (flow != NULL) {
        snprintf(reader->result->hint, sizeof(reader->result->hint),
                 "set it with --set %s=VALUE, in the environment, or under `parameters` of flow \"%s\"; or give a "
                 "default: ${%s:-VALUE}",
                 name, flow, name);
    } else {
        snprintf(reader->result->hint, sizeof(reader->result->hint),
                 "set it with --set %s=VALUE or in the environment, or give a default: ${%s:-VALUE} (parameters of "
                 "flows are known in "
                 "`channels` and `stages` only)",
                 name, name);
    }
    return false;
}

// Behind "${".
static bool variable_read_variable(variable_reader *reader, unsigned nesting, bool active) {
    char name[TV_VARIABLE_NAME_BYTES_MAX + 1];
    size_t length = strcspn(reader->at, ":}");
    if (!tv_variable_name_is_valid(reader->at, length)) {
        return variable_fail(reader, "expected a variable's name behind ${: letters, digits and _, at most 63",
                             "write $${ where a dollar sign itself is meant");
    }
    memcpy(name, reader->at, length);
    name[length] = '\0';
    reader->at += length;
    bool has_default = strncmp(reader->at, ":-", 2) == 0;
    if (!has_default && *reader->at != '}') {
        return variable_fail(reader, "expected } or :- behind a variable's name", "write ${NAME} or ${NAME:-default}");
    }
    const tv_parameter *from = NULL;
    const char *value = active ? variable_find(reader->variables, name, &from) : "";
    bool use_default = has_default && (value == NULL || value[0] == '\0');
    if (active && value == NULL && !has_default) return variable_fail_unset(reader, name);
    bool is_part = active && !use_default && from != NULL && reader->variables->text != TV_OPTION_ANY_TEXT;
    if (is_part && from->place.line == 0 && !variable_check_in_path(reader, from)) return false;
    if (active && !use_default && !variable_write(reader, value, strlen(value))) return false;
    if (has_default) {
        reader->at += 2;
        if (nesting == TV_VARIABLE_NESTING_MAX) {
            return variable_fail(reader, "variables inside defaults are nested more than 4 deep", "simplify it");
        }
        if (!variable_read_text(reader, nesting + 1, active && use_default)) return false;
    }
    if (*reader->at != '}') return variable_fail(reader, "a ${ has no closing }", "write ${NAME} or ${NAME:-default}");
    reader->at++;
    return true;
}

// To the end, or inside a default (nesting above 0) to its closing brace.
static bool variable_read_text(variable_reader *reader, unsigned nesting, bool active) {
    while (*reader->at != '\0' && (nesting == 0 || *reader->at != '}')) {
        size_t length = strcspn(reader->at, nesting == 0 ? "$" : "$}");
        bool dollar = length == 0 && reader->at[0] == '$';
        if (dollar && reader->at[1] == '{') {
            reader->at += 2;
            reader->result->resolved = true;
            if (!variable_read_variable(reader, nesting, active)) return false;
            continue;
        }
        size_t skip = dollar ? (reader->at[1] == '$' ? 2 : 1) : length;
        if (active && !variable_write(reader, reader->at, dollar ? 1 : length)) return false;
        reader->at += skip;
    }
    return true;
}

bool tv_variables_expand(tv_variables *variables, tv_region *region, const char *text, tv_variable_result *result) {
    *result = (tv_variable_result){.text = text};
    if (strchr(text, '$') == NULL) return true;
    variable_reader reader = {.variables = variables, .result = result, .at = text};
    bool ok = variable_read_text(&reader, 0, true) && !reader.out.failed;
    if (reader.out.failed) region->failed = true;
    if (ok) {
        result->text = tv_region_copy(region, reader.out.bytes != NULL ? reader.out.bytes : "", reader.out.length);
        ok = result->text != NULL;
    }
    tv_text_deinit(&reader.out);
    return ok;
}
