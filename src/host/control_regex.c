// See control_regex.h. An expression is read by recursive descent into a graph of nodes (Thompson, CACM 11/6, 1968):
// those that take a byte, and empty ones that branch, join or look at the place. From the graph come the sets of
// positions that follow each other (Glushkov), by which it is matched.
#include "host/control_regex.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { NODES_MAX = 4096, DEPTH_MAX = 64, REPEAT_MAX = 255, UNBOUNDED = -1, NONE = -1 };

typedef enum node_kind { NODE_EMPTY, NODE_BYTES, NODE_BEGIN, NODE_END } node_kind;

typedef struct node {
    uint8_t kind;        // node_kind
    int16_t next, other; // other: of an empty one, a second way
    int16_t position;    // of one that takes a byte
} node;

// A part of the graph: the way in, and the empty node it leads out by.
typedef struct part {
    int16_t in, out;
} part;

typedef struct builder {
    const char *pattern, *at;
    tv_host_regex *regex;
    node nodes[NODES_MAX];
    int16_t node_count, position_count;
    int depth;
    tv_error *error;
    bool failed;
} builder;

static const char TOO_MANY_POSITIONS[] =
    "the expression has more than 256 characters and classes, repetitions written out";

static void fail(builder *b, tv_status status, const char *what) {
    if (!b->failed)
        tv_error_set(b->error, status, "%s, at byte %zu of the expression", what, (size_t)(b->at - b->pattern) + 1);
    b->failed = true;
}

// ---- nodes ----------------------------------------------------------------------------------------------------------

// Node 0 stands for all that there was no room for: the builder has failed then.
static int16_t add_node(builder *b, node_kind kind) {
    if (b->node_count == NODES_MAX) {
        fail(b, TV_TOO_LARGE, "the expression is too large");
        return 0;
    }
    b->nodes[b->node_count] = (node){.kind = (uint8_t)kind, .next = NONE, .other = NONE};
    return b->node_count++;
}

static void link_nodes(builder *b, int16_t from, int16_t to) {
    node *of = &b->nodes[from];
    if (of->next == NONE)
        of->next = to;
    else
        of->other = to;
}

static part make_part(builder *b, node_kind kind) {
    int16_t in = add_node(b, kind), out = add_node(b, NODE_EMPTY);
    link_nodes(b, in, out);
    return (part){in, out};
}

static void set_bit(tv_host_regex_set *set, int position) { set->words[position / 64] |= 1ull << (position % 64); }

static bool has_bit(const tv_host_regex_set *set, int position) {
    return (set->words[position / 64] >> (position % 64) & 1) != 0;
}

// One byte of those that are marked.
static part make_bytes(builder *b, const bool marked[256]) {
    part made = make_part(b, NODE_BYTES);
    if (b->position_count == TV_HOST_REGEX_POSITIONS_MAX) {
        fail(b, TV_TOO_LARGE, TOO_MANY_POSITIONS);
        return made;
    }
    int position = b->nodes[made.in].position = b->position_count++;
    for (int byte = 0; byte < 256; byte++)
        if (marked[byte]) set_bit(&b->regex->of_byte[byte], position);
    return made;
}

// The same bytes at a new position.
static void copy_position(builder *b, int16_t from, int16_t to) {
    if (b->position_count == TV_HOST_REGEX_POSITIONS_MAX) {
        fail(b, TV_TOO_LARGE, TOO_MANY_POSITIONS);
        return;
    }
    int position = b->nodes[to].position = b->position_count++;
    for (int byte = 0; byte < 256; byte++)
        if (has_bit(&b->regex->of_byte[byte], from)) set_bit(&b->regex->of_byte[byte], position);
}

// ---- atoms ----------------------------------------------------------------------------------------------------------

static bool is_of_class(const char *name, size_t length, int byte) {
    static const struct {
        const char *name;
        int (*is_of)(int);
    } classes[] = {{"alpha", isalpha}, {"digit", isdigit}, {"alnum", isalnum}, {"upper", isupper},
                   {"lower", islower}, {"space", isspace}, {"blank", isblank}, {"punct", ispunct},
                   {"print", isprint}, {"graph", isgraph}, {"cntrl", iscntrl}, {"xdigit", isxdigit}};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (strlen(classes[i].name) == length && memcmp(classes[i].name, name, length) == 0)
            return byte < 0 || (byte < 128 && classes[i].is_of(byte));
    return false;
}

static bool class_is_known(const char *name, size_t length) { return is_of_class(name, length, -1); }

// [:alpha:], behind its first bracket.
static void read_class(builder *b, bool marked[256]) {
    const char *name = b->at + 1, *end = strstr(name, ":]");
    if (!end || !class_is_known(name, (size_t)(end - name))) {
        fail(b, TV_INVALID, "there is no such character class ([:alpha:], [:digit:], [:space:], ...)");
        return;
    }
    for (int byte = 0; byte < 256; byte++)
        marked[byte] = marked[byte] || is_of_class(name, (size_t)(end - name), byte);
    b->at = end + 2;
}

static void read_range(builder *b, bool marked[256]) {
    int from = (unsigned char)*b->at++, to = from;
    if (b->at[0] == '-' && b->at[1] && b->at[1] != ']') {
        to = (unsigned char)b->at[1];
        b->at += 2;
    }
    if (to < from) fail(b, TV_INVALID, "a range ends before it begins");
    for (int byte = from; byte <= to; byte++)
        marked[byte] = true;
}

static part read_brackets(builder *b) {
    bool marked[256] = {false};
    bool inverted = *b->at == '^';
    if (inverted) b->at++;
    const char *begin = b->at; // a bracket there is a character
    while (*b->at && (*b->at != ']' || b->at == begin) && !b->failed) {
        if (b->at[0] == '[' && b->at[1] == ':') {
            b->at++;
            read_class(b, marked);
        } else if (b->at[0] == '[' && (b->at[1] == '.' || b->at[1] == '=')) {
            fail(b, TV_INVALID, "collating symbols are not supported");
        } else {
            read_range(b, marked);
        }
    }
    if (*b->at == ']')
        b->at++;
    else
        fail(b, TV_INVALID, "a bracket [ is not closed");
    for (int byte = 0; byte < 256 && inverted; byte++)
        marked[byte] = !marked[byte];
    return make_bytes(b, marked);
}

static part read_escape(builder *b) {
    bool marked[256] = {false};
    int escaped = (unsigned char)*b->at;
    bool is_word = tolower(escaped) == 'w', is_space = tolower(escaped) == 's';
    if (!escaped)
        fail(b, TV_INVALID, "a backslash at the end");
    else if (isalnum(escaped) && !is_word && !is_space)
        fail(b, TV_INVALID, "only \\w, \\W, \\s, \\S and escaped signs are supported behind a backslash");
    else
        b->at++;
    for (int byte = 0; byte < 256; byte++) {
        bool is_of = is_word    ? byte < 128 && (isalnum(byte) || byte == '_')
                     : is_space ? byte < 128 && isspace(byte)
                                : byte == escaped;
        marked[byte] = (is_word || is_space) && isupper(escaped) ? !is_of : is_of;
    }
    return make_bytes(b, marked);
}

static part read_any(builder *b) {
    bool marked[256];
    memset(marked, true, sizeof marked);
    return make_bytes(b, marked);
}

static part read_plain(builder *b, char byte) {
    bool marked[256] = {false};
    marked[(unsigned char)byte] = true;
    return make_bytes(b, marked);
}

static part read_branches(builder *b);

static part read_group(builder *b) {
    if (++b->depth > DEPTH_MAX) {
        fail(b, TV_TOO_LARGE, "groups are nested more than 64 deep");
        return make_part(b, NODE_EMPTY);
    }
    part inner = read_branches(b);
    b->depth--;
    if (*b->at == ')')
        b->at++;
    else
        fail(b, TV_INVALID, "a parenthesis ( is not closed");
    return inner;
}

static part read_atom(builder *b) {
    char first = *b->at++;
    switch (first) {
    case '(': return read_group(b);
    case '[': return read_brackets(b);
    case '\\': return read_escape(b);
    case '.': return read_any(b);
    case '^': return make_part(b, NODE_BEGIN);
    case '$': return make_part(b, NODE_END);
    case '*':
    case '+':
    case '?':
    case '{':
        b->at--;
        fail(b, TV_INVALID, "there is nothing to repeat");
        return make_part(b, NODE_EMPTY);
    default: return read_plain(b, first);
    }
}

// ---- repetition -----------------------------------------------------------------------------------------------------

static int read_number(builder *b) {
    int number = 0;
    if (!isdigit((unsigned char)*b->at)) return UNBOUNDED;
    for (; isdigit((unsigned char)*b->at) && number <= REPEAT_MAX; b->at++)
        number = number * 10 + (*b->at - '0');
    if (number > REPEAT_MAX) fail(b, TV_TOO_LARGE, "a repetition of more than 255 times");
    return number;
}

// {m}, {m,}, {m,n}, behind the brace.
static void read_bounds(builder *b, int *least, int *most) {
    *least = *most = read_number(b);
    if (*least == UNBOUNDED) fail(b, TV_INVALID, "a repetition is {m}, {m,} or {m,n}");
    if (*b->at == ',') {
        b->at++;
        *most = read_number(b);
    }
    if (*b->at != '}' || (*most != UNBOUNDED && *most < *least))
        fail(b, TV_INVALID, "a repetition is {m}, {m,} or {m,n}");
    else
        b->at++;
}

static bool read_repetition(builder *b, int *least, int *most) {
    *least = *most = 1;
    switch (*b->at) {
    case '*': *least = 0, *most = UNBOUNDED; break;
    case '+': *most = UNBOUNDED; break;
    case '?': *least = 0; break;
    case '{':
        b->at++;
        read_bounds(b, least, most);
        return true;
    default: return false;
    }
    b->at++;
    return true;
}

static part join(builder *b, part first, part second) {
    link_nodes(b, first.out, second.in);
    return (part){first.in, second.out};
}

static part make_optional(builder *b, part inner, bool again) {
    int16_t in = add_node(b, NODE_EMPTY), out = add_node(b, NODE_EMPTY);
    link_nodes(b, in, inner.in);
    link_nodes(b, in, out);
    link_nodes(b, inner.out, again ? in : out);
    return (part){in, out};
}

// Once or more.
static part make_endless(builder *b, part inner) {
    int16_t out = add_node(b, NODE_EMPTY);
    link_nodes(b, inner.out, inner.in);
    link_nodes(b, inner.out, out);
    return (part){inner.in, out};
}

// The nodes of a part lie one behind the other, from `begin` to `end`, and lead nowhere else yet.
static part copy_part(builder *b, part of, int16_t begin, int16_t end) {
    int16_t moved = (int16_t)(b->node_count - begin);
    for (int16_t i = begin; i < end && !b->failed; i++) {
        const node *from = &b->nodes[i];
        int16_t to = add_node(b, (node_kind)from->kind);
        if (b->failed) break;
        b->nodes[to].next = from->next == NONE ? NONE : (int16_t)(from->next + moved);
        b->nodes[to].other = from->other == NONE ? NONE : (int16_t)(from->other + moved);
        if (from->kind == NODE_BYTES) copy_position(b, from->position, to);
    }
    return b->failed ? of : (part){(int16_t)(of.in + moved), (int16_t)(of.out + moved)};
}

static part repeat(builder *b, part once, int16_t begin, int least, int most) {
    part copies[REPEAT_MAX + 1];
    int16_t end = b->node_count;
    int count = most == UNBOUNDED ? (least ? least : 1) : most;
    if (count == 0) return make_part(b, NODE_EMPTY);
    copies[0] = once;
    for (int i = 1; i < count; i++)
        copies[i] = copy_part(b, once, begin, end);
    part made = make_part(b, NODE_EMPTY);
    for (int i = 0; i < count && !b->failed; i++) {
        bool is_last = i == count - 1;
        if (i >= least)
            made = join(b, made, make_optional(b, copies[i], most == UNBOUNDED));
        else if (is_last && most == UNBOUNDED)
            made = join(b, made, make_endless(b, copies[i]));
        else
            made = join(b, made, copies[i]);
    }
    return made;
}

static part read_piece(builder *b) {
    int16_t begin = b->node_count;
    int least, most;
    part made = read_atom(b);
    while (!b->failed && read_repetition(b, &least, &most) && !b->failed)
        made = repeat(b, made, begin, least, most);
    return made;
}

// ---- all together ---------------------------------------------------------------------------------------------------

static part read_branch(builder *b) {
    part made = make_part(b, NODE_EMPTY);
    while (*b->at && *b->at != '|' && *b->at != ')' && !b->failed)
        made = join(b, made, read_piece(b));
    return made;
}

static part read_branches(builder *b) {
    part made = read_branch(b);
    while (*b->at == '|' && !b->failed) {
        b->at++;
        part second = read_branch(b);
        int16_t in = add_node(b, NODE_EMPTY), out = add_node(b, NODE_EMPTY);
        link_nodes(b, in, made.in);
        link_nodes(b, in, second.in);
        link_nodes(b, made.out, out);
        link_nodes(b, second.out, out);
        made = (part){in, out};
    }
    return made;
}

// ---- from the graph to sets -----------------------------------------------------------------------------------------

// The positions that can be reached from a node without a byte, at the begin of the text and at its end or not. Whether
// the way leads to the end of the expression.
static bool reach(const builder *b, int16_t from, int16_t goal, bool at_begin, bool at_end, tv_host_regex_set *set) {
    bool seen[NODES_MAX] = {false};
    int16_t stack[NODES_MAX];
    int depth = 0;
    stack[depth++] = from;
    seen[from] = true;
    while (depth) {
        const node *of = &b->nodes[stack[--depth]];
        if (of->kind == NODE_BYTES && set) set_bit(set, of->position);
        bool passes =
            of->kind == NODE_EMPTY || (of->kind == NODE_BEGIN && at_begin) || (of->kind == NODE_END && at_end);
        for (int way = 0; passes && way < 2; way++) {
            int16_t next = way ? of->other : of->next;
            if (next == NONE || seen[next]) continue;
            seen[next] = true;
            stack[depth++] = next;
        }
    }
    return seen[goal];
}

static void make_sets(builder *b, part all) {
    tv_host_regex *regex = b->regex;
    for (int16_t i = 0; i < b->node_count; i++) {
        const node *of = &b->nodes[i];
        if (of->kind != NODE_BYTES) continue;
        if (reach(b, of->next, all.out, false, false, &regex->follow[of->position]))
            set_bit(&regex->last, of->position);
        if (reach(b, of->next, all.out, false, true, NULL)) set_bit(&regex->last_at_end, of->position);
    }
    regex->matches_nothing = reach(b, all.in, all.out, false, false, &regex->later);
    regex->matches_nothing_at_begin = reach(b, all.in, all.out, true, false, &regex->first);
    regex->matches_nothing_at_end = reach(b, all.in, all.out, false, true, NULL);
    regex->matches_nothing_alone = reach(b, all.in, all.out, true, true, NULL);
    for (int byte = 0; byte < 256; byte++)
        for (int w = 0; w < TV_HOST_REGEX_WORDS; w++)
            regex->may_begin[byte] =
                regex->may_begin[byte] || (regex->of_byte[byte].words[w] & regex->later.words[w]) != 0;
}

tv_status tv_host_regex_new(const char *pattern, tv_host_regex **out, tv_error *error) {
    if (strlen(pattern) > TV_HOST_REGEX_PATTERN_BYTES_MAX)
        return tv_error_set(error, TV_TOO_LARGE, "the expression has more than %d bytes",
                            TV_HOST_REGEX_PATTERN_BYTES_MAX);
    builder *b = calloc(1, sizeof *b);
    tv_host_regex *regex = calloc(1, sizeof *regex);
    if (b && regex) {
        *b = (builder){.pattern = pattern, .at = pattern, .regex = regex, .error = error};
        part all = read_branches(b);
        if (*b->at && !b->failed) fail(b, TV_INVALID, "a parenthesis ) was not opened");
        if (!b->failed) make_sets(b, all);
    } else {
        tv_error_set(error, TV_NO_MEMORY, "out of memory");
    }
    bool made = b && regex && !b->failed;
    free(b);
    if (!made) {
        free(regex);
        return error->status;
    }
    *out = regex;
    return TV_OK;
}

// ---- matching -------------------------------------------------------------------------------------------------------

static bool meet(const tv_host_regex_set *a, const tv_host_regex_set *b) {
    uint64_t common = 0;
    for (int w = 0; w < TV_HOST_REGEX_WORDS; w++)
        common |= a->words[w] & b->words[w];
    return common != 0;
}

static void add_all(tv_host_regex_set *to, const tv_host_regex_set *from) {
    for (int w = 0; w < TV_HOST_REGEX_WORDS; w++)
        to->words[w] |= from->words[w];
}

// One byte: of the positions it may stand at, those it does, and where they lead. Returns how many there are.
static int64_t step(const tv_host_regex *regex, uint8_t byte, tv_host_regex_set *active, tv_host_regex_set *taken) {
    tv_host_regex_set next = {{0}};
    int64_t count = 0;
    for (int w = 0; w < TV_HOST_REGEX_WORDS; w++) {
        uint64_t left = taken->words[w] = active->words[w] & regex->of_byte[byte].words[w];
        for (; left; left &= left - 1, count++)
            add_all(&next, &regex->follow[w * 64 + __builtin_ctzll(left)]);
    }
    *active = next;
    return count;
}

// Bytes with which no match begins.
static uint32_t skip(const tv_host_regex *regex, const uint8_t *text, uint32_t at, uint32_t most) {
    while (at < most && !regex->may_begin[text[at]])
        at++;
    return at;
}

static bool matches_empty(const tv_host_regex *regex, uint32_t length) {
    if (length == 0) return regex->matches_nothing_alone;
    return regex->matches_nothing || regex->matches_nothing_at_begin || regex->matches_nothing_at_end;
}

tv_status tv_host_regex_match_on(const tv_host_regex *regex, const char *text, uint32_t length,
                                 tv_host_regex_match *match, int64_t *work) {
    static const tv_host_regex_set none;
    const uint8_t *bytes = (const uint8_t *)text;
    if (match->at == 0) {
        if (matches_empty(regex, length)) return TV_OK;
        match->active = regex->first;
    }
    while (match->at < length) {
        if (*work <= 0) return TV_AGAIN;
        tv_host_regex_set taken = none;
        if (match->at) add_all(&match->active, &regex->later);
        uint32_t most = length - match->at > *work ? match->at + (uint32_t)*work : length;
        if (match->at && memcmp(&match->active, &regex->later, sizeof match->active) == 0) {
            uint32_t begin = skip(regex, bytes, match->at, most);
            *work -= begin - match->at;
            match->at = begin;
            if (begin == most) continue;
        }
        *work -= 1 + step(regex, bytes[match->at++], &match->active, &taken);
        if (meet(&taken, &regex->last)) return TV_OK;
        if (match->at == length && meet(&taken, &regex->last_at_end)) return TV_OK;
    }
    return TV_NOT_FOUND;
}
