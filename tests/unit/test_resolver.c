/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the test's own process, one thread: resolver and name server. */
#include "milter/resolver.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/name_server.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suite.h"

/* What the name server answers, by the first label of the question. */
enum behaviour {
	ZONE_ANSWER = 0,
	ZONE_NO_NAME,
	ZONE_NO_DATA,
	ZONE_FAIL,
	ZONE_SILENT
};

static const struct zone_row {
	const char *label;
	enum behaviour behaviour;
	int n_v4, n_v6;
} zone[] = {
	{ "one.", ZONE_ANSWER, 1, 0 },
	{ "six.", ZONE_ANSWER, 0, 1 },
	{ "both.", ZONE_ANSWER, 1, 1 },
	{ "many.", ZONE_ANSWER, 9, 0 },
	{ "none.", ZONE_NO_NAME, 0, 0 },
	{ "empty.", ZONE_NO_DATA, 0, 0 },
	{ "broken.", ZONE_FAIL, 0, 0 },
	{ "silent.", ZONE_SILENT, 0, 0 },
};

struct scene {
	struct event_base *base;
	struct resolver *resolver;
	struct resolver_files files;
	struct name_server server;
	char resolv_conf[SCRATCH_PATH_MAX], hosts[SCRATCH_PATH_MAX];
	int n_answers, n_questions;
	struct resolver_answer answer;
};

static void
give_addresses(struct evdns_server_request *request, const char *name,
    const struct zone_row *row, int type)
{
	uint32_t v4[16];
	uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 7 };

	for (uint32_t i = 0; i < NELEM(v4); i++)
		v4[i] = htonl(0x7f000101 + i);
	if (type == EVDNS_TYPE_A && row->n_v4 > 0)
		(void)evdns_server_request_add_a_reply(
		    request, name, row->n_v4, v4, 60);
	if (type == EVDNS_TYPE_AAAA && row->n_v6 > 0)
		(void)evdns_server_request_add_aaaa_reply(
		    request, name, row->n_v6, v6, 60);
}

static void
on_question(struct evdns_server_request *request, void *arg)
{
	struct scene *scene = arg;
	const struct evdns_server_question *question = request->questions[0];
	int error = 0;

	scene->n_questions++;
	for (size_t i = 0; i < NELEM(zone); i++) {
		if (strncmp(question->name, zone[i].label,
			strlen(zone[i].label)) != 0)
			continue;
		if (zone[i].behaviour == ZONE_SILENT) {
			(void)evdns_server_request_drop(request);
			return;
		}
		if (zone[i].behaviour == ZONE_NO_NAME)
			error = DNS_ERR_NOTEXIST;
		if (zone[i].behaviour == ZONE_FAIL)
			error = DNS_ERR_SERVERFAILED;
		give_addresses(
		    request, question->name, &zone[i], question->type);
	}
	(void)evdns_server_request_respond(request, error);
}

static void
scene_begin(struct scene *scene)
{
	struct err err;

	memset(scene, 0, sizeof(*scene));
	scratch_begin();
	scene->base = event_base_new();
	name_server_start(&scene->server, scene->base, on_question, scene);
	scratch_write("hosts", "127.0.9.1 local.test alias\n");
	scene->files.resolv_conf =
	    scratch_path("resolv.conf", scene->resolv_conf);
	scene->files.hosts = scratch_path("hosts", scene->hosts);
	ck_assert_int_eq(
	    resolver_create(scene->base, &scene->files, &scene->resolver, &err),
	    0);
}

static void
scene_end(struct scene *scene)
{
	if (scene->resolver != NULL)
		resolver_free(&scene->resolver);
	name_server_stop(&scene->server);
	(void)event_base_loop(scene->base, EVLOOP_NONBLOCK);
	event_base_free(scene->base);
	scratch_end();
}

static void
on_answer(void *arg, const struct resolver_answer *answer)
{
	struct scene *scene = arg;

	scene->answer = *answer;
	scene->n_answers++;
	(void)event_base_loopbreak(scene->base);
}

static void
ask(struct scene *scene, const char *name, enum config_address_family family)
{
	int before = scene->n_answers;

	ck_assert_ptr_nonnull(resolver_ask(
	    scene->resolver, name, 2525, family, on_answer, scene));
	ck_assert_int_eq(scene->n_answers, before);
	(void)event_base_dispatch(scene->base);
	ck_assert_int_eq(scene->n_answers, before + 1);
}

static const struct {
	const char *name;
	enum config_address_family family;
	enum resolver_kind kind;
	uint32_t n;
	const char *first;
} rows[] = {
	{ "one.test", CONFIG_ANY, RESOLVER_FOUND, 1, "127.0.1.1" },
	{ "one.test", CONFIG_IPV4, RESOLVER_FOUND, 1, "127.0.1.1" },
	{ "one.test", CONFIG_IPV6, RESOLVER_NONE, 0, NULL },
	{ "six.test", CONFIG_ANY, RESOLVER_FOUND, 1, "2001:db8::7" },
	{ "six.test", CONFIG_IPV4, RESOLVER_NONE, 0, NULL },
	{ "both.test", CONFIG_ANY, RESOLVER_FOUND, 2, NULL },
	{ "both.test", CONFIG_IPV6, RESOLVER_FOUND, 1, "2001:db8::7" },
	{ "many.test", CONFIG_ANY, RESOLVER_FOUND, RESOLVER_ADDRESSES_MAX,
	    NULL },
	{ "none.test", CONFIG_ANY, RESOLVER_NONE, 0, NULL },
	{ "empty.test", CONFIG_ANY, RESOLVER_NONE, 0, NULL },
	{ "broken.test", CONFIG_ANY, RESOLVER_TRY_AGAIN, 0, NULL },
	{ "local.test", CONFIG_ANY, RESOLVER_FOUND, 1, "127.0.9.1" },
	{ "alias", CONFIG_ANY, RESOLVER_FOUND, 1, "127.0.9.1" },
};

START_TEST(names_are_answered_as_dns_and_the_hosts_file_say)
{
	char text[ENDPOINT_TEXT_MAX];
	struct scene scene;

	scene_begin(&scene);
	ask(&scene, rows[_i].name, rows[_i].family);
	ck_assert_msg(scene.answer.kind == rows[_i].kind, "%s: %s",
	    rows[_i].name, scene.answer.why);
	ck_assert_uint_eq(scene.answer.n, rows[_i].n);
	if (rows[_i].first != NULL)
		ck_assert_str_eq(
		    endpoint_text(&scene.answer.list[0], text), rows[_i].first);
	if (rows[_i].n > 0)
		ck_assert_uint_eq(scene.answer.list[0].port, 2525);
	else
		ck_assert_ptr_nonnull(scene.answer.why);
	scene_end(&scene);
}
END_TEST

/* The MTA appends no domain, so a probe that did would see another host. */
START_TEST(search_domains_are_not_appended)
{
	struct scene scene;

	scene_begin(&scene);
	ask(&scene, "short", CONFIG_IPV4);
	ck_assert_int_eq(scene.answer.kind, RESOLVER_NONE);
	ck_assert_int_eq(scene.n_questions, 1);
	scene_end(&scene);
}
END_TEST

START_TEST(a_changed_hosts_file_is_read_anew)
{
	char text[ENDPOINT_TEXT_MAX];
	struct scene scene;

	scene_begin(&scene);
	ask(&scene, "local.test", CONFIG_ANY);
	scratch_write("hosts", "127.0.9.22 local.test more names\n");
	ask(&scene, "local.test", CONFIG_ANY);
	ck_assert_str_eq(
	    endpoint_text(&scene.answer.list[0], text), "127.0.9.22");
	scene_end(&scene);
}
END_TEST

START_TEST(a_cancelled_query_is_not_answered)
{
	struct resolver_query *query;
	struct scene scene;

	scene_begin(&scene);
	query = resolver_ask(
	    scene.resolver, "silent.test", 25, CONFIG_ANY, on_answer, &scene);
	(void)event_base_loop(scene.base, EVLOOP_NONBLOCK);
	resolver_cancel(&query);
	ck_assert_ptr_null(query);
	/* One that is answered, but has not been told. */
	query = resolver_ask(
	    scene.resolver, "local.test", 25, CONFIG_ANY, on_answer, &scene);
	resolver_cancel(&query);
	ask(&scene, "one.test", CONFIG_ANY);
	ck_assert_int_eq(scene.n_answers, 1);
	scene_end(&scene);
}
END_TEST

START_TEST(a_resolver_that_ends_in_mid_question_leaves_nothing)
{
	struct resolver_query *query;
	struct scene scene;

	scene_begin(&scene);
	query = resolver_ask(
	    scene.resolver, "silent.test", 25, CONFIG_ANY, on_answer, &scene);
	(void)event_base_loop(scene.base, EVLOOP_NONBLOCK);
	resolver_cancel(&query);
	resolver_free(&scene.resolver);
	ck_assert_int_eq(scene.n_answers, 0);
	scene_end(&scene);
}
END_TEST

static Suite *
resolver_suite(void)
{
	Suite *suite = suite_create("test_resolver");
	TCase *all = tcase_create("resolver");

	tcase_set_timeout(all, 30);
	tcase_add_loop_test(all,
	    names_are_answered_as_dns_and_the_hosts_file_say, 0,
	    (int)NELEM(rows));
	tcase_add_test(all, search_domains_are_not_appended);
	tcase_add_test(all, a_changed_hosts_file_is_read_anew);
	tcase_add_test(all, a_cancelled_query_is_not_answered);
	tcase_add_test(
	    all, a_resolver_that_ends_in_mid_question_leaves_nothing);
	suite_add_tcase(suite, all);
	return suite;
}

int
main(void)
{
	return suite_run(resolver_suite());
}
