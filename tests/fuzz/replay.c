/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: one. */

/*
 * Runs a fuzz harness over files instead of under a fuzzer: each argument is a
 * file, or a folder of files; without any, the seeds of its name below
 * $srcdir. Ends with 1 when nothing was replayed, so that a
 * harness that reaches no seed is noticed.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/frame.h"

#define INPUT_MAX (1 << 20)

/* Returns: how many inputs were replayed. */
static unsigned
replay_file(const char *path)
{
	uint8_t *data = malloc(INPUT_MAX);
	FILE *file = fopen(path, "rb");
	unsigned n = 0;
	size_t size;

	if (data != NULL && file != NULL) {
		size = fread(data, 1, INPUT_MAX, file);
		if (ferror(file) == 0) {
			(void)LLVMFuzzerTestOneInput(data, size);
			n = 1;
		}
	}
	if (n == 0)
		perror(path);
	if (file != NULL)
		(void)fclose(file);
	free(data);
	return n;
}

static unsigned
replay_folder(DIR *folder, const char *path)
{
	const struct dirent *entry;
	unsigned n = 0;
	char name[4096];

	while ((entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(
		    name, sizeof(name), "%s/%s", path, entry->d_name);
		n += replay_file(name);
	}
	(void)closedir(folder);
	return n;
}

static unsigned
replay(const char *path)
{
	DIR *folder = opendir(path);

	return folder != NULL ? replay_folder(folder, path) : replay_file(path);
}

/* The seeds of the harness that this program was linked with: fuzz_NAME has
   them in tests/fuzz/seeds/NAME. */
static unsigned
replay_seeds(const char *program)
{
	const char *source = getenv("srcdir"), *slash = strrchr(program, '/');
	const char *name = strstr(slash != NULL ? slash : program, "fuzz_");
	char path[4096];

	if (source == NULL || name == NULL)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/tests/fuzz/seeds/%s", source,
	    name + strlen("fuzz_"));
	return replay(path);
}

int
main(int argc, char **argv)
{
	unsigned n = argc == 1 ? replay_seeds(argv[0]) : 0;

	for (int i = 1; i < argc; i++)
		n += replay(argv[i]);
	printf("%u inputs replayed\n", n);
	return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
