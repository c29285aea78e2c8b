/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */

/*
 * Follows one growing text file, like the MTA's log: from its end at the start,
 * over rotation by rename and by truncation, before it exists and after it was
 * removed, through symbolic links. Told by inotify on its folder and itself; a
 * look once a second as well, for what tells nothing (network file systems,
 * folders that come later, targets of links). Reads a piece of 16 kB at a time
 * and lets the loop turn, with a breath of a millisecond, so that a backlog
 * holds nobody up.
 *
 * When the path names another file, the old one is followed until the new one
 * has lines and the old one has been still for 3 s after that (for 30 s at most
 * when it never is); then the new one is read from its beginning. Of files that
 * rotate faster the seven that come next are kept open. One that had the name
 * for so short a time that no event was read meanwhile is missed; a file that
 * was read and gets the name back is taken for a new one.
 *
 * Truncation (logrotate's copytruncate): see tail_file.h. What had not been
 * read then is read from the copy (log_copy.h) first. What was written between
 * the copy and the truncation and was not read is lost to everybody.
 */
#ifndef NH_MILTER_LOG_FOLLOWER_H
#define NH_MILTER_LOG_FOLLOWER_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/event.h>

#include "policy/compiler.h"
#include "policy/err.h"

struct log_follower;

/* One line without its end; what is longer than DELIVERY_LINE_MAX comes cut
   off, once. */
typedef void log_follower_line_fn(void *arg, const char *line, size_t len);

/*
 * Starts at the end of the file (of one that may not be read yet: at its end
 * when it first may); a file that does not exist yet is read from its beginning
 * once it does. A last line without an end waits for it; the rest of a line
 * that began before the start is dropped.
 * Returns: 0; -1 with err (no memory, no inotify instance).
 * Owns: the caller. Thread: all of it the one that runs base. line is called
 * from the loop, never from here, and must not free the follower.
 */
int log_follower_create(struct event_base *base, const char *path,
    log_follower_line_fn *line, void *arg, struct log_follower **follower_r,
    struct err *err) NH_MUSTCHECK NH_NONNULL(1, 2, 3, 5, 6);
void log_follower_free(struct log_follower **follower) NH_ALL_NONNULL;

/* Is there a file that can be read now? A path that has named nothing for 2 s
   counts as closed, though the file that it named is still followed. Logged by
   the module when it changes (a warning once when it cannot be opened, with
   what to do; info when it can again). */
bool log_follower_is_open(const struct log_follower *follower) NH_ALL_NONNULL;

#endif
