// base: what every layer stands on. Status and error object, assertions, checked arithmetic, clock seam, log,
// option tables, text buffer, what is shown of foreign text, JSON as text, inbox. Depends on libc and yyjson alone.
#ifndef TORVYN_BASE_BASE_H
#define TORVYN_BASE_BASE_H

#include "base/assert.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/inbox.h"
#include "base/json.h"
#include "base/log.h"
#include "base/option.h"
#include "base/pages.h"
#include "base/print.h"
#include "base/show.h"
#include "base/status.h"
#include "base/text.h"

#endif
