/* SPDX-License-Identifier: Apache-2.0 */
/* SIGKILL at random moments of writing: what was acknowledged is there after a restart, byte for byte. */
#include "core/vec.h"
#include "store_client.h"

#include <pthread.h>

enum { ROUNDS = 50, WRITES = 8, KILL_US = 3000, TARGETS = 40, PATIENCE_S = 60 };

struct kept {
	char *path, *text; /* text NULL: its deletion was acknowledged */
};

static MESH_VEC(struct kept) kept;

static void keep(const char *path, const char *text)
{
	mesh_vec_each (k, &kept)
		if (strcmp(k->path, path) == 0) {
			free(k->text);
			k->text = mesh_xstrdup(text);
			return;
		}
	mesh_vec_push(&kept, ((struct kept){mesh_xstrdup(path), mesh_xstrdup(text)}));
}

static void forget(const char *path)
{
	for (size_t i = 0; i < kept.count; i++)
		if (strcmp(kept.items[i].path, path) == 0) {
			free(kept.items[i].path);
			free(kept.items[i].text);
			mesh_vec_remove(&kept, i);
			return;
		}
}

static _Atomic unsigned acknowledged; /* in this round */

struct killer {
	pid_t pid;
	unsigned writes, delay_us;
};

/* Lets so many writes be answered, however slow the machine is, and then kills in the middle of whatever comes next. */
static void *kill_later(void *arg)
{
	const struct killer *k = arg;

	for (int i = 0; i < PATIENCE_S * 10000 && acknowledged < k->writes; i++)
		usleep(100);
	usleep(k->delay_us);
	kill(k->pid, SIGKILL);
	return NULL;
}

static char *odd; /* an answer that no write should get */

/* One write; returns false when the server is gone. What it meant to do is then unknown, and no longer checked. */
static bool write_one(struct server *s, unsigned n)
{
	mesh_auto_free char *path = mesh_xasprintf("/api/v1/namespaces/default/configmaps/kill-%u", n % TARGETS);
	mesh_auto_free char *body =
		mesh_xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"kill-%u\"},"
			       "\"data\":{\"n\":\"%u\",\"text\":\"\\u00e9x\\ny\"}}",
			       n % TARGETS, n);
	unsigned what = (unsigned)rand() % 8;
	struct answer a = what == 0 ? call(s, "DELETE", path, NULL) : call(s, "PUT", path, body);

	if (a.status == 404 && what) {
		answer_free(&a);
		a = call(s, "POST", "/api/v1/namespaces/default/configmaps", body);
	}
	if (a.status == 0)
		forget(path);
	else if (what == 0 ? a.status != 200 && a.status != 404 : a.status != 200 && a.status != 201)
		odd = mesh_xasprintf("%s %s: %ld %s", what ? "PUT or POST" : "DELETE", path, a.status, a.text.data);
	else if (what == 0)
		keep(path, NULL);
	else
		keep(path, a.text.data);
	acknowledged += a.status != 0;
	what = a.status != 0 && !odd;
	answer_free(&a);
	return what;
}

static bool all_there(struct server *s, int round)
{
	mesh_vec_each (k, &kept) {
		struct answer a = call(s, "GET", k->path, NULL);
		const char *text = a.text.data ? a.text.data : "";
		bool good = k->text ? a.status == 200 && strcmp(text, k->text) == 0 : a.status == 404;

		if (!good)
			printf("  round %d: %s: status %ld%s%s\n    %s    wanted %s", round, k->path, a.status,
			       a.error ? ", " : "", a.error ? a.error : "", text, k->text ? k->text : "404\n");
		answer_free(&a);
		if (!good)
			return false;
	}
	return true;
}

/* Says why when not: what the client met, and what became of the server. */
static bool is_ready(struct server *s, int round)
{
	struct answer a = call(s, "GET", "/readyz", NULL);
	bool ready = a.status == 200;
	int status = 0;
	pid_t gone = ready ? 0 : waitpid(s->pid, &status, WNOHANG);

	if (!ready)
		printf("  round %d: /readyz: status %ld, %s; the server %s (%d)\n", round, a.status,
		       a.error ? a.error : "no error", gone == s->pid ? "has ended" : "runs", status);
	if (gone == s->pid)
		s->pid = 0;
	answer_free(&a);
	return ready;
}

static bool one_round(struct server *s, int round, unsigned *n)
{
	struct killer killer;
	pthread_t thread;
	bool good;

	server_start(s);
	good = is_ready(s, round) && all_there(s, round);
	if (!good)
		return false;
	acknowledged = 0;
	killer = (struct killer){s->pid, 1 + (unsigned)rand() % WRITES, (unsigned)rand() % KILL_US};
	pthread_create(&thread, NULL, kill_later, &killer);
	while (write_one(s, (*n)++))
		;
	pthread_join(thread, NULL);
	server_kill(s, SIGKILL);
	if (acknowledged < killer.writes)
		printf("  round %d: %u writes were answered in %d s, not %u%s%s\n", round, acknowledged, PATIENCE_S,
		       killer.writes, odd ? ": " : "", odd ? odd : "");
	else if (odd)
		printf("  round %d: %s\n", round, odd);
	return acknowledged >= killer.writes && !odd;
}

TEST(acknowledged_writes_survive_sigkill)
{
	struct server s = {0};
	unsigned n = 0;
	bool good = true;

	srand((unsigned)getpid());
	for (int round = 0; round < ROUNDS && good; round++)
		good = one_round(&s, round, &n);
	server_kill(&s, SIGKILL);
	server_start(&s);
	good = good && is_ready(&s, ROUNDS) && all_there(&s, ROUNDS);
	server_end(&s);
	printf("  %u writes, %zu objects kept in mind\n", n, kept.count);
	mesh_vec_each (k, &kept) {
		free(k->path);
		free(k->text);
	}
	mesh_vec_free(&kept);
	free(odd);
	CHECK(good);
}

TEST_MAIN()
