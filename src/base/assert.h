// Assertions state what callers promise; they stay on in release. Never for input, guests or the network.
#ifndef TORVYN_BASE_ASSERT_H
#define TORVYN_BASE_ASSERT_H

_Noreturn void tv_assert_failed(const char *condition, const char *file, int line);

#define TV_ASSERT(condition) ((condition) ? (void)0 : tv_assert_failed(#condition, __FILE__, __LINE__))

#endif
