// The executable's entry: finds the verb and runs it. The table of verbs stands here and nowhere else.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "wasm/wasm.h"

const tv_verb tv_verbs[] = {
    {.name = "new",
     .summary = "make a folder with a first component and a pipeline that runs it",
     .usage = "NAME",
     .description =
         "Makes the folder NAME with a component in C, a pipeline file and a few readings to run it on, and\n"
         "says what to type next. The name becomes the component's: a-z, 0-9 and '-'.",
     .examples = "torvyn new hello\n",
     .run = tv_verb_new},
    {.name = "build",
     .summary = "compile a component written in C to WebAssembly",
     .usage = "FILE.c... [-o FILE.wasm] [flags]",
     .description =
         "Compiles C sources that use <torvyn/torvyn.h> into a component. Header and runtime are inside this\n"
         "program; clang and lld must be installed (with --libc wasi-libc too), and it says which packages\n"
         "those are when they are missing.",
     .examples = "torvyn build hello.c\n"
                 "torvyn build hello.c parse.c -o hello.wasm -O2 --libc\n",
     .run = tv_verb_build},
    {.name = "inspect",
     .summary = "show what a component file contains and needs",
     .usage = "FILE.wasm [--format text|json]",
     .description =
         "Reads a component without running it: name, version, role, ports, memory, exports, imports\n"
         "and the grants they need. Fails if the file breaks the component contract or its code is not valid.",
     .examples = "torvyn inspect hello.wasm\n"
                 "torvyn inspect hello.wasm --format json\n",
     .run = tv_verb_inspect},
    {.name = "check",
     .summary = "find everything that is wrong with a pipeline, without running it",
     .usage = "FILE [--set NAME=VALUE]... [--format text|json]",
     .description = "Reads the pipeline file and the components it names and reports every problem at once: syntax,\n"
                    "types, units, the graph, component files and their code, contract version, grants, ports, memory\n"
                    "and queues. Nothing is started. Exit code 78 if there are errors; warnings alone leave it at 0.",
     .examples = "torvyn check gateway.yaml\n"
                 "torvyn check gateway.yaml --set INPUT=readings.jsonl\n"
                 "torvyn check gateway.yaml --format json\n",
     .run = tv_verb_check},
    {.name = "plan",
     .summary = "show the memory a pipeline takes at most, and typically",
     .usage = "FILE [--workers N] [--set NAME=VALUE]... [--format text|json]",
     .description = "Lists every consumer of memory with what is reserved (its maximum) and what is expected\n"
                    "(typical use), adds both up, and says whether it fits: against limits.memory of the file, the\n"
                    "memory limit of the control group, and the memory available now. Exit code 1 if it does not.",
     .examples = "torvyn plan gateway.yaml\n"
                 "torvyn plan gateway.yaml --format json\n",
     .run = tv_verb_plan},
    {.name = "run",
     .summary = "run a pipeline until its input ends or it is told to stop",
     .usage = "FILE [--workers N] [--grace 10s] [--set NAME=VALUE]... [--quiet]...",
     .description = "Checks, plans and runs the pipeline. On a terminal one line shows the progress. At the end, or\n"
                    "after SIGINT, SIGTERM, SIGHUP or SIGQUIT, a summary says what came in, what went out, what was\n"
                    "dropped and why, and what was dead-lettered. A signal stops the sources and delivers what is\n"
                    "under way, for at most the grace time; another one, later than a second, ends at once.\n"
                    "Exit codes: 0 done, or stopped and all delivered; 1 failed, or a summary in JSON could not be\n"
                    "written; 65 records were dead-lettered, with --fail-on-dead-letters; 78 the pipeline is wrong;\n"
                    "128 and the signal's number (130 SIGINT, 143 SIGTERM) if a signal ended it before everything\n"
                    "was delivered.",
     .examples = "torvyn run gateway.yaml\n"
                 "torvyn run gateway.yaml --set INPUT=readings.jsonl --quiet --format json\n"
                 "cat readings.jsonl | torvyn run filter.yaml > out.jsonl\n",
     .run = tv_verb_run},
    {.name = "ps",
     .summary = "show the flows of a running pipeline, or one in full and what holds it back",
     .usage = "[FLOW|GLOB] [--sort BY] [--state STATE] [--class CLASS] [--limit N] [flags]",
     .description =
         "Without an argument, a table of all flows: class, state, rates, fill of the fullest queue, memory,\n"
         "CPU, losses, restarts, last error. A name shows that flow with its stages: how much of the time\n"
         "each runs, waits for input, for the worker and for room behind it, and names the bottleneck.\n"
         "Exit codes: 0 done; 1 refused (no such flow); 69 nothing runs, or it went away.",
     .examples = "torvyn ps\n"
                 "torvyn ps 'line-*' --sort cpu --limit 20\n"
                 "torvyn ps line-7\n"
                 "torvyn ps --state failed --format json\n",
     .run = tv_verb_ps},
    {.name = "top",
     .summary = "watch a running pipeline, full screen",
     .usage = "[--sort BY] [--interval 1s] [--control PATH] [--format text|json]",
     .description =
         "Shows flows, components or workers, sorted, with new figures every second, and one flow with what\n"
         "holds it back. Keys: q quit, h help, arrows and Enter choose, s sort, / filter, space pause.\n"
         "Exit codes: 0 ended by a key or a signal; 1 no terminal it can use; 69 nothing runs, or the\n"
         "pipeline has ended.",
     .examples = "torvyn top\n"
                 "torvyn top --sort queue\n"
                 "torvyn top --interval 5s --control gateway\n"
                 "torvyn top --format json\n",
     .run = tv_verb_top},
    {.name = "flow",
     .summary = "add, remove, pause, resume or change flows of a running pipeline",
     .usage = "add|remove|pause|resume|set FLOW|GLOB [KEY=VALUE]... [flags]",
     .description = "Changes what runs, without touching other flows. `add` takes the keys of an entry under `flows`\n"
                    "in the pipeline file and parameters with --set. `set` changes class, quantum, turn, cpu and rate\n"
                    "of running flows; new parameters (--set) replace the flow. `remove` drains the flow first.\n"
                    "Exit codes: 0 done; 1 refused, or not done in time; 69 nothing runs, or it went away.",
     .examples = "torvyn flow add line-9 class=high --set INPUT=line-9.jsonl\n"
                 "torvyn flow set line-9 class=critical rate.records=500\n"
                 "torvyn flow pause 'line-*'\n"
                 "torvyn flow resume 'line-*'\n"
                 "torvyn flow remove line-9 --timeout 30s\n",
     .run = tv_verb_flow},
    {.name = "tap",
     .summary = "show the records that pass a place of a running flow",
     .usage = "FLOW/STAGE [--limit N] [--contains TEXT] [--field PATH=VALUE] [flags]",
     .description =
         "Shows copies of the records that a stage emits, or that go through a channel (FLOW/CHANNEL), until\n"
         "the limit, the flow's end or Ctrl-C. It never slows the flow: what cannot be shown in time is\n"
         "counted. Payloads that are JSON or text are shown as they are, others in base64.\n"
         "Exit codes: 0 done or interrupted; 1 refused; 69 nothing runs, or it went away.",
     .examples = "torvyn tap line-1/detect\n"
                 "torvyn tap line-1/detect --field sensor=t-1 --limit 10\n"
                 "torvyn tap line-1/uplink --format json | jq .payload\n",
     .run = tv_verb_tap},
    {.name = "stop",
     .summary = "end a running pipeline",
     .usage = "[--drain|--now] [--grace 10s] [--no-wait] [flags]",
     .description = "Stops the sources, delivers what is under way for at most the grace time, and returns when the\n"
                    "pipeline has ended. With --now, what is queued is dropped and counted.\n"
                    "Exit codes: 0 it has ended; 1 refused; 69 nothing runs.",
     .examples = "torvyn stop\n"
                 "torvyn stop --grace 1m\n"
                 "torvyn stop --now --control gateway\n",
     .run = tv_verb_stop},
    {.name = "connectors",
     .summary = "list the connectors and their options",
     .usage = "[NAME] [--format text|json]",
     .description = "Without a name, lists what a channel's `connector:` may be. With one, shows its options with\n"
                    "types, defaults and ranges.",
     .examples = "torvyn connectors\n"
                 "torvyn connectors file\n",
     .run = tv_verb_connectors},
    {.name = "reference",
     .summary = "print the reference of the pipeline file, in Markdown",
     .usage = "",
     .description = "Prints every key of the pipeline file with type, default, range and meaning.",
     .examples = "torvyn reference | less\n",
     .run = tv_verb_reference},
    {.name = "schema",
     .summary = "print the JSON Schema of the pipeline file, for editors",
     .usage = "",
     .description = "Prints a JSON Schema (draft 2020-12). Editors with a YAML language server use it to complete\n"
                    "and check pipeline files while you type.",
     .examples = "torvyn schema > torvyn.schema.json\n",
     .run = tv_verb_schema},
    {.name = "version",
     .summary = "show the version of Torvyn, its engine and the component contracts it serves",
     .usage = "[--format text|json]",
     .description = "Shows the version of Torvyn, of its engine, and the component contracts it serves.",
     .examples = "torvyn version\n"
                 "torvyn version --format json\n",
     .run = tv_verb_version},
    {.name = "help",
     .summary = "show help, in general or for one verb",
     .usage = "[VERB]",
     .description = "Lists the verbs, or explains one.",
     .examples = "torvyn help run\n",
     .run = tv_verb_help},
    {0},
};

const tv_verb *tv_verb_find(const char *name) {
    for (const tv_verb *verb = tv_verbs; verb->name; verb++)
        if (strcmp(verb->name, name) == 0) return verb;
    return NULL;
}

int tv_cli_unknown_verb(const char *name) {
    const char *names[32];
    size_t count = 0;
    for (const tv_verb *verb = tv_verbs; verb->name && count < 32; verb++)
        names[count++] = verb->name;
    const char *nearest = tv_nearest_name(name, names, count);
    tv_print(stderr, "torvyn: error: there is no verb '%s'%s%s%s\n", name, nearest ? "; did you mean '" : "",
             nearest ? nearest : "", nearest ? "'?" : "");
    tv_print(stderr, "`torvyn help` lists the verbs.\n");
    return TV_EXIT_USAGE;
}

// A standard descriptor that is closed would become that of the next file opened, which then got the log, or the
// summary. What takes its place fails on use, as the closed one would.
static void occupy_closed_descriptors(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) continue;
        int opened = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); // the lowest number that is free
        if (opened >= 0 && opened != fd) close(opened);
    }
}

// The engine prints a backtrace when it aborts and one of these is set, which takes locks and memory: where those are
// the trouble it hangs instead of ending.
static void forget_backtraces(void) {
    unsetenv("RUST_BACKTRACE");
    unsetenv("RUST_LIB_BACKTRACE");
}

int main(int argc, char **argv) {
    occupy_closed_descriptors();
    forget_backtraces();
    setvbuf(stderr, NULL, _IOLBF, BUFSIZ); // a line a write, not a character
    if (argc < 2) {
        tv_verb_help(0, NULL);
        return TV_EXIT_USAGE;
    }
    const char *name = argv[1];
    // The compiling child; started by the engine with a module on standard input, never by a person.
    if (strcmp(name, "__compile") == 0) return tv_compile_child_main(argc, argv);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) name = "version";
    const tv_verb *verb = tv_verb_find(name);
    if (!verb) return tv_cli_unknown_verb(name);
    argv[1] = (char *)verb->name; // what messages and help call it
    return verb->run(argc - 1, argv + 1);
}
