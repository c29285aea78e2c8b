/* SPDX-License-Identifier: BSD-2-Clause */
/* Copyright (c) 2026 the nexthop-milter authors */
/* Thread: the probe thread. */
#include "milter/resolver.h"

#include <event2/dns.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "milter/hosts_file.h"
#include "milter/log.h"

#define FLUSH_ROUNDS 4

/* What tells one version of a file from another. */
struct stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

struct resolver {
	struct event_base *base;
	struct evdns_base *dns;
	struct hosts_file *known;
	struct resolver_files files;
	struct stamp resolv_conf, hosts;
	uint32_t n_pending; /* requests that the library still holds */
};

/* One question to DNS: the addresses of one family. */
struct request {
	struct resolver_query *query;
	struct evdns_request *dns; /* NULL: not asked, or answered */
	int error;		   /* DNS_ERR_* */
	uint32_t n;
	struct endpoint list[RESOLVER_ADDRESSES_MAX];
};

enum { REQUEST_V4 = 0, REQUEST_V6, REQUESTS };

struct resolver_query {
	struct resolver *resolver;
	struct event *ready; /* tells the answer, from the loop */
	uint32_t n_open;     /* requests that the library holds */
	bool dropped;	     /* nobody waits for the answer */
	uint16_t port;
	resolver_done_fn *done;
	void *arg;
	struct request request[REQUESTS];
	struct resolver_answer answer;
};

static void
stamp_of(const char *path, struct stamp *stamp_r)
{
	struct stat info;

	memset(stamp_r, 0, sizeof(*stamp_r));
	if (stat(path, &info) == -1)
		return;
	stamp_r->device = info.st_dev;
	stamp_r->inode = info.st_ino;
	stamp_r->size = info.st_size;
	stamp_r->changed = info.st_mtim;
}

static bool
same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->device == b->device && a->inode == b->inode &&
	       a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}

static struct evdns_base *
open_dns(struct resolver *resolver)
{
	struct evdns_base *dns;

	dns = evdns_base_new(resolver->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (dns == NULL)
		return NULL;
	/* Without the file the name server of this machine is asked, as
	   everybody does. */
	(void)evdns_base_resolv_conf_parse(dns,
	    DNS_OPTION_NAMESERVERS | DNS_OPTION_MISC,
	    resolver->files.resolv_conf);
	if (evdns_base_count_nameservers(dns) == 0)
		(void)evdns_base_nameserver_ip_add(dns, "127.0.0.1");
	/* Servers that do not give back the case of a question are common; what
	   is learned here only decides whom to probe. */
	(void)evdns_base_set_option(dns, "randomize-case:", "0");
	(void)evdns_base_set_option(dns, "timeout:", "3");
	(void)evdns_base_set_option(dns, "attempts:", "2");
	return dns;
}

/* Reads both files. Returns: 0; -1 when there is no memory, and what was read
   before stays. */
static int
read_files(struct resolver *resolver)
{
	struct evdns_base *dns = open_dns(resolver);
	struct hosts_file *known = hosts_file_load(resolver->files.hosts);

	if (dns == NULL || known == NULL) {
		if (dns != NULL)
			evdns_base_free(dns, 0);
		hosts_file_free(&known);
		return -1;
	}
	if (resolver->dns != NULL)
		evdns_base_free(resolver->dns, 0);
	hosts_file_free(&resolver->known);
	resolver->dns = dns;
	resolver->known = known;
	return 0;
}

/* A changed file means a new start, at a moment when nothing is under way. */
static int
follow_files(struct resolver *resolver)
{
	struct stamp resolv_conf, hosts;

	if (resolver->n_pending > 0)
		return 0;
	stamp_of(resolver->files.resolv_conf, &resolv_conf);
	stamp_of(resolver->files.hosts, &hosts);
	if (resolver->dns != NULL &&
	    same_stamp(&resolv_conf, &resolver->resolv_conf) &&
	    same_stamp(&hosts, &resolver->hosts))
		return 0;
	if (read_files(resolver) == -1)
		return -1;
	resolver->resolv_conf = resolv_conf;
	resolver->hosts = hosts;
	return 0;
}

/* The library would write to standard error. */
static void
on_log(int is_warning, const char *text)
{
	(void)is_warning;
	log_debug("dns: %s", text);
}

int
resolver_create(struct event_base *base, const struct resolver_files *files,
    struct resolver **resolver_r, struct err *err)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));

	*resolver_r = NULL;
	evdns_set_log_fn(on_log);
	if (resolver != NULL) {
		resolver->base = base;
		resolver->files.resolv_conf = "/etc/resolv.conf";
		resolver->files.hosts = "/etc/hosts";
		if (files != NULL)
			resolver->files = *files;
	}
	if (resolver == NULL || follow_files(resolver) == -1) {
		free(resolver);
		err_set(err, "cannot set up the resolver");
		return -1;
	}
	*resolver_r = resolver;
	return 0;
}

static void
query_free(struct resolver_query *query)
{
	if (query->ready != NULL)
		event_free(query->ready);
	free(query);
}

static void
take_address(struct request *request, char type, const char *bytes)
{
	struct endpoint *endpoint = &request->list[request->n];

	memset(endpoint, 0, sizeof(*endpoint));
	endpoint->port = request->query->port;
	if (type == DNS_IPv4_A) {
		endpoint->family = AF_INET;
		memcpy(&endpoint->v4, bytes, sizeof(endpoint->v4));
	} else {
		endpoint->family = AF_INET6;
		memcpy(&endpoint->v6, bytes, sizeof(endpoint->v6));
	}
	request->n++;
}

/* Both families in turn: with one of them out of order, the other is among the
   addresses that are tried. */
static void
merge(struct resolver_query *query)
{
	struct resolver_answer *answer = &query->answer;

	for (uint32_t i = 0; i < RESOLVER_ADDRESSES_MAX; i++) {
		for (int r = 0; r < REQUESTS; r++) {
			const struct request *request = &query->request[r];

			if (i < request->n &&
			    answer->n < RESOLVER_ADDRESSES_MAX)
				answer->list[answer->n++] = request->list[i];
		}
	}
}

/* Only when each family that was asked for says "there is none", there is
   none. */
static void
judge(struct resolver_query *query)
{
	struct resolver_answer *answer = &query->answer;
	bool no_name = false, unknown = false;

	merge(query);
	answer->kind = RESOLVER_FOUND;
	if (answer->n > 0)
		return;
	for (int r = 0; r < REQUESTS; r++) {
		int error = query->request[r].error;

		no_name = no_name || error == DNS_ERR_NOTEXIST;
		unknown = unknown ||
			  (error != DNS_ERR_NONE && error != DNS_ERR_NODATA &&
			      error != DNS_ERR_NOTEXIST);
	}
	answer->kind = unknown ? RESOLVER_TRY_AGAIN : RESOLVER_NONE;
	answer->why = unknown	? "no answer from DNS"
		      : no_name ? "no such name"
				: "no address of a usable family";
}

static void
on_answer(int error, char type, int count, int ttl, void *addresses, void *arg)
{
	struct request *request = arg;
	struct resolver_query *query = request->query;
	const size_t size = type == DNS_IPv4_A ? sizeof(struct in_addr)
					       : sizeof(struct in6_addr);
	const char *bytes = addresses;

	(void)ttl;
	request->dns = NULL;
	request->error = error;
	if (error == DNS_ERR_NONE &&
	    (type == DNS_IPv4_A || type == DNS_IPv6_AAAA)) {
		for (int i = 0; i < count && i < RESOLVER_ADDRESSES_MAX; i++)
			take_address(request, type, bytes + (size_t)i * size);
	}
	query->resolver->n_pending--;
	if (--query->n_open > 0)
		return;
	if (query->dropped) {
		query_free(query);
		return;
	}
	judge(query);
	event_active(query->ready, EV_TIMEOUT, 0);
}

static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct resolver_query *query = arg;
	struct resolver_answer answer = query->answer;
	resolver_done_fn *done = query->done;
	void *done_arg = query->arg;

	(void)fd;
	(void)what;
	query_free(query);
	done(done_arg, &answer);
}

static int
family_of(enum config_address_family family)
{
	switch (family) {
	case CONFIG_ANY:
		break;
	case CONFIG_IPV4:
		return AF_INET;
	case CONFIG_IPV6:
		return AF_INET6;
	}
	return AF_UNSPEC;
}

static void
send_requests(struct resolver_query *query, const char *name, int family)
{
	struct resolver *resolver = query->resolver;
	struct request *v4 = &query->request[REQUEST_V4];
	struct request *v6 = &query->request[REQUEST_V6];

	if (family != AF_INET6)
		v4->dns = evdns_base_resolve_ipv4(
		    resolver->dns, name, DNS_QUERY_NO_SEARCH, on_answer, v4);
	if (family != AF_INET)
		v6->dns = evdns_base_resolve_ipv6(
		    resolver->dns, name, DNS_QUERY_NO_SEARCH, on_answer, v6);
	/* A request that cannot be made has no answer. */
	if (family != AF_INET6 && v4->dns == NULL)
		v4->error = DNS_ERR_UNKNOWN;
	if (family != AF_INET && v6->dns == NULL)
		v6->error = DNS_ERR_UNKNOWN;
	query->n_open = (v4->dns != NULL ? 1U : 0U) + (v6->dns != NULL);
	resolver->n_pending += query->n_open;
}

static void
start_query(struct resolver_query *query, const char *name, int family)
{
	struct resolver_answer *answer = &query->answer;

	(void)follow_files(query->resolver);
	answer->n = (uint32_t)hosts_file_find(query->resolver->known, name,
	    family, query->port, answer->list, RESOLVER_ADDRESSES_MAX);
	if (answer->n == 0)
		send_requests(query, name, family);
	if (query->n_open > 0)
		return;
	judge(query);
	event_active(query->ready, EV_TIMEOUT, 0);
}

struct resolver_query *
resolver_ask(struct resolver *resolver, const char *name, uint16_t port,
    enum config_address_family family, resolver_done_fn *done, void *arg)
{
	struct resolver_query *query = calloc(1, sizeof(*query));

	if (query == NULL)
		return NULL;
	query->ready = evtimer_new(resolver->base, on_ready, query);
	if (query->ready == NULL) {
		query_free(query);
		return NULL;
	}
	query->resolver = resolver;
	query->port = port;
	query->done = done;
	query->arg = arg;
	for (int r = 0; r < REQUESTS; r++)
		query->request[r].query = query;
	start_query(query, name, family_of(family));
	return query;
}

void
resolver_cancel(struct resolver_query **query)
{
	struct resolver_query *old = *query;

	*query = NULL;
	if (old == NULL)
		return;
	if (old->n_open == 0) {
		query_free(old);
		return;
	}
	old->dropped = true;
	for (int r = 0; r < REQUESTS; r++) {
		if (old->request[r].dns != NULL)
			evdns_cancel_request(
			    old->resolver->dns, old->request[r].dns);
	}
}

void
resolver_free(struct resolver **resolver)
{
	struct resolver *old = *resolver;

	*resolver = NULL;
	if (old == NULL)
		return;
	for (int i = 0; i < FLUSH_ROUNDS && old->n_pending > 0; i++)
		(void)event_base_loop(old->base, EVLOOP_NONBLOCK);
	evdns_base_free(old->dns, 0);
	hosts_file_free(&old->known);
	free(old);
}
