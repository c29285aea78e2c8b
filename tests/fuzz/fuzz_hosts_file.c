/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the fuzzer's only one. */
#include "milter/hosts_file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/frame.h"

#define FOUND_MAX 64
#define PORT	  2525

static void
check_found(const struct endpoint *list, size_t n)
{
	char text[ENDPOINT_TEXT_MAX];
	struct endpoint again;

	for (size_t i = 0; i < n; i++) {
		require(list[i].port == PORT && (list[i].family == AF_INET ||
						    list[i].family == AF_INET6),
		    "what is found is an address with this port");
		require(endpoint_parse(
			    endpoint_text(&list[i], text), PORT, &again) == 0 &&
			    again.family == list[i].family,
		    "its text is an address");
	}
}

/* The families together have what is asked for without one. */
static void
look_up(const struct hosts_file *file, const char *name)
{
	struct endpoint all[FOUND_MAX], some[FOUND_MAX];
	size_t n = hosts_file_find(file, name, AF_UNSPEC, PORT, all, FOUND_MAX);
	size_t v4 = hosts_file_find(file, name, AF_INET, PORT, some, FOUND_MAX);
	size_t v6 =
	    hosts_file_find(file, name, AF_INET6, PORT, some, FOUND_MAX);

	require(n <= FOUND_MAX && v4 <= n + FOUND_MAX, "never more than asked");
	require(n == FOUND_MAX || v4 + v6 == n, "each address has a family");
	check_found(all, n);
	require(hosts_file_find(file, name, AF_UNSPEC, PORT, some, 0) == 0,
	    "none is found when none is wanted");
}

/* Every word of the file, as a name. */
static void
look_all_up(const struct hosts_file *file, char *text)
{
	char *rest, *word;

	for (char *c = text; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	word = strtok_r(text, " \t\r\n#", &rest);
	while (word != NULL) {
		look_up(file, word);
		word = strtok_r(NULL, " \t\r\n#", &rest);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memory_file(data, size);
	char path[FD_PATH_MAX], *text = string_copy(data, size);
	struct hosts_file *file;

	fd_path(fd, path);
	file = hosts_file_load(path);
	require(file != NULL, "there is memory");
	look_all_up(file, text);
	look_up(file, "");
	hosts_file_free(&file);
	free(text);
	(void)close(fd);
	return 0;
}
