/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the supervisor's only one. */
#include "milter/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DESCRIPTORS_WANTED 65536

static int
become(const struct passwd *entry, struct err *err)
{
	if (initgroups(entry->pw_name, entry->pw_gid) == -1 ||
	    setgid(entry->pw_gid) == -1 || setuid(entry->pw_uid) == -1) {
		err_set(err, "cannot become user %s: %s", entry->pw_name,
		    strerror(errno));
		return -1;
	}
	return 0;
}

int
privileges_drop(const char *user, struct err *err)
{
	const char *name = user[0] != '\0' ? user : PRIVILEGES_DEFAULT_USER;
	const struct passwd *entry;

	if (geteuid() != 0 && user[0] == '\0')
		return 0;
	entry = getpwnam(name);
	if (entry == NULL) {
		err_set(err,
		    "user \"%s\" does not exist; create it, or set user", name);
		return -1;
	}
	if (entry->pw_uid == geteuid())
		return 0;
	if (geteuid() != 0) {
		err_set(
		    err, "not started as root: cannot become user %s", name);
		return -1;
	}
	return become(entry, err);
}

void
privileges_raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	if (geteuid() == 0 && limit.rlim_max < DESCRIPTORS_WANTED)
		limit.rlim_max = DESCRIPTORS_WANTED;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}
