// Read in front of each file by clang-tidy only (scripts/tidy.sh): tells its analyzer what it cannot see in another
// file, that setting an error never returns TV_OK. Without it each caller seems to go on after a failure.
// Components have results of their own by the same names and do without.
#if !defined(TORVYN_TIDY_MODEL_H) && !defined(TV_NATIVE_COMPONENT)
#define TORVYN_TIDY_MODEL_H

#include "base/status.h"

static inline tv_status tv_model_failure(tv_status status) {
    if (status == TV_OK) __builtin_unreachable();
    return status;
}

#define tv_error_set(error, status, ...)       tv_model_failure((tv_error_set)(error, status, __VA_ARGS__))
#define tv_error_set_errno(error, number, ...) tv_model_failure((tv_error_set_errno)(error, number, __VA_ARGS__))
#define tv_error_prefix(error, ...)            tv_model_failure((tv_error_prefix)(error, __VA_ARGS__))

#endif
