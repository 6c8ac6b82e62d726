// What the compiling child gives up, without needing root for it:
//
//   resource limits   address space and CPU time as told; no file can be written (RLIMIT_FSIZE 0), none beyond the
//                     three standard ones opened (RLIMIT_NOFILE), no core dumped
//   no_new_privs      nothing it might start would gain rights; not dumpable, so nobody of the same user attaches
//   parent death      it is killed if the host dies
//   seccomp filter    of the system calls, only reading and writing open descriptors, memory, signals of its own,
//                     and time are left: no open, no socket, no exec, no kill. Others answer EPERM
//
// The filter covers network and paths at once, which landlock (5.13, and no network before 6.7) and namespaces
// (often forbidden to users) do not. A kernel without seccomp filters is told to the parent, which logs a warning;
// compiling goes on behind the limits, since the alternative would be no start at all.
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "wasm/compile.h"

#if defined(__x86_64__)
#define FILTER_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "name the architecture for the system call filter"
#endif

// Sanitizers reserve terabytes of address space.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LIMIT_ADDRESS_SPACE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LIMIT_ADDRESS_SPACE 0
#endif
#endif
#ifndef LIMIT_ADDRESS_SPACE
#define LIMIT_ADDRESS_SPACE 1
#endif

static const unsigned short allowed_calls[] = {
    SYS_read,          SYS_write,
    SYS_writev,        SYS_close,
    SYS_fstat,         SYS_newfstatat,
    SYS_mmap,          SYS_munmap,
    SYS_mprotect,      SYS_mremap,
    SYS_madvise,       SYS_brk,
    SYS_futex,         SYS_exit,
    SYS_exit_group,    SYS_rt_sigaction,
    SYS_rt_sigreturn,  SYS_rt_sigprocmask,
    SYS_sigaltstack,   SYS_getpid,
    SYS_gettid,        SYS_getrandom,
    SYS_clock_gettime, SYS_sched_yield,
    SYS_membarrier,    SYS_sched_getaffinity,
};
enum { ALLOWED_CALLS = sizeof allowed_calls / sizeof *allowed_calls, FILTER_LENGTH = ALLOWED_CALLS + 11 };

static void warn(const char *what) {
    char line[160];
    int length = snprintf(line, sizeof line, "warning: the compiler runs without %s: %s\n", what, strerror(errno));
    ssize_t ignored = write(STDERR_FILENO, line, (size_t)length);
    (void)ignored;
}

static void limit(int resource, rlim_t soft, rlim_t hard, const char *what) {
    struct rlimit value = {.rlim_cur = soft, .rlim_max = hard};
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) == 0 && now.rlim_max < hard) {
        value.rlim_max = now.rlim_max;
        if (value.rlim_cur > value.rlim_max) value.rlim_cur = value.rlim_max;
    }
    if (setrlimit((__rlimit_resource_t)resource, &value) != 0) warn(what);
}

// A list of "is it this call? allowed", behind a check of the architecture, in front of "refused". The 32-bit
// variants of system calls on x86_64 have other numbers or a high bit, so they match nothing in the list. tgkill, with
// which abort() works, is allowed for the child's own process id only.
static void build_filter(struct sock_filter filter[FILTER_LENGTH]) {
    size_t at = 0;
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCHITECTURE, 1, 0);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 0, 4);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]));
    filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 0, 1);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    for (size_t i = 0; i < ALLOWED_CALLS; i++) {
        unsigned char to_allow = (unsigned char)(ALLOWED_CALLS - i);
        filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed_calls[i], to_allow, 0);
    }
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
}

static void filter_system_calls(void) {
    struct sock_filter filter[FILTER_LENGTH];
    build_filter(filter);
    struct sock_fprog program = {.len = FILTER_LENGTH, .filter = filter};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) warn("a system call filter");
}

void tv_compile_drop_rights(uint64_t memory_bytes_max, uint32_t cpu_seconds_max) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) warn("being tied to its parent");
    if (LIMIT_ADDRESS_SPACE) limit(RLIMIT_AS, memory_bytes_max, memory_bytes_max, "a memory limit");
    limit(RLIMIT_CPU, cpu_seconds_max, (rlim_t)cpu_seconds_max + 1, "a CPU limit");
    limit(RLIMIT_FSIZE, 0, 0, "a limit on files written");
    limit(RLIMIT_NOFILE, 3, 3, "a limit on open files");
    limit(RLIMIT_CORE, 0, 0, "a limit on core dumps");
    if (prctl(PR_SET_DUMPABLE, 0) != 0) warn("protection from debuggers");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) warn("no_new_privs");
    filter_system_calls();
}
