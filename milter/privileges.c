/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the supervisor's only one. */
#include "milter/privileges.h"

#include <errno.h>
#include <fcntl.h>
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

/* NULL when there is nothing to give: we are not root, or nobody is there. */
static const struct passwd *
heir(const char *user)
{
	if (geteuid() != 0)
		return NULL;
	return getpwnam(user[0] != '\0' ? user : PRIVILEGES_DEFAULT_USER);
}

void
privileges_give(const char *user, const char *path)
{
	const struct passwd *entry = heir(user);

	if (entry != NULL)
		(void)lchown(path, entry->pw_uid, entry->pw_gid);
}

void
privileges_create_file(const char *user, const char *path)
{
	const struct passwd *entry = heir(user);
	int fd;

	if (entry == NULL)
		return;
	/* Never one that exists, nor through a link: it may be anybody's. */
	fd = open(
	    path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd == -1)
		return;
	(void)fchown(fd, entry->pw_uid, entry->pw_gid);
	(void)close(fd);
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
