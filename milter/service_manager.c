/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the supervisor's only one. */
#include "milter/service_manager.h"

#ifdef HAVE_LIBSYSTEMD

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

int
service_manager_socket(const char *name)
{
	char **names = NULL;
	int found = -1, n = sd_listen_fds_with_names(0, &names);

	for (int i = 0; i < n; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		/* Anything but a listening socket would be readable and never
		   accept: an endless turn. */
		if (names != NULL && strcmp(names[i], name) == 0 &&
		    sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) > 0)
			found = fd;
	}
	for (int i = 0; names != NULL && i < n; i++)
		free(names[i]);
	free(names);
	return found;
}

void
service_manager_notify(const char *state)
{
	(void)sd_notify(0, state);
}

#else

int
service_manager_socket(const char *name)
{
	(void)name;
	return -1;
}

void
service_manager_notify(const char *state)
{
	(void)state;
}

#endif
