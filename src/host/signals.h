// What signals mean to a running pipeline. They belong to the process, so this is the one place with state of its own.
//
// SIGTERM, SIGINT, SIGHUP and SIGQUIT ask for the end. The first counts, and what comes within a second of it is the
// same request: service managers, terminals and supervisors often send two. One that comes later asks for the end at
// once; another, a second after that, ends the process wherever it is. SIGUSR1 and SIGUSR2 mean nothing; SIGPIPE,
// SIGXFSZ and SIGTTOU are answers of a write.
#ifndef TORVYN_HOST_SIGNALS_H
#define TORVYN_HOST_SIGNALS_H

#include "base/base.h"

// Installs the handlers. They stay until the process ends: a signal after the end of a run is late, not a reason to die
// before the summary is out. Errors: IO.
tv_status tv_signals_install(tv_error *error);
// While the run is being made a second request ends the process at once: nothing has been read or written yet.
void tv_signals_started(void);
// The signal that asked for the end, the one that asked for it at once, 0 if none did. Any thread.
int tv_signals_first(void);
int tv_signals_second(void);
// Readable when there is something new; for an event loop. tv_signals_seen makes it unreadable again.
int tv_signals_fd(void);
void tv_signals_seen(void);
const char *tv_signals_name(int number);

#endif
