/* SPDX-License-Identifier: Apache-2.0 */
/* SIGKILL at random moments of writing: what was acknowledged is there after a restart, byte for byte. */
#include "core/vec.h"
#include "store_client.h"

#include <pthread.h>

enum { ROUNDS = 50, KILL_US = 30000, TARGETS = 40 };

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

struct killer {
	pid_t pid;
	unsigned delay_us;
};

static void *kill_later(void *arg)
{
	const struct killer *k = arg;

	usleep(k->delay_us);
	kill(k->pid, SIGKILL);
	return NULL;
}

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
	else if (what == 0)
		keep(path, NULL);
	else
		keep(path, a.text.data);
	what = a.status != 0;
	answer_free(&a);
	return what;
}

static bool all_there(struct server *s)
{
	mesh_vec_each (k, &kept) {
		struct answer a = call(s, "GET", k->path, NULL);
		bool good = k->text ? a.status == 200 && strcmp(a.text.data, k->text) == 0 : a.status == 404;

		if (!good)
			printf("  %s: %ld\n    %s    wanted %s", k->path, a.status, a.text.data,
			       k->text ? k->text : "404\n");
		answer_free(&a);
		if (!good)
			return false;
	}
	return true;
}

TEST(acknowledged_writes_survive_sigkill)
{
	struct server s = {0};
	unsigned n = 0;
	bool good = true;

	srand((unsigned)getpid());
	for (int round = 0; round < ROUNDS && good; round++) {
		struct killer killer;
		pthread_t thread;

		server_start(&s);
		good = status_of(&s, "GET", "/readyz", NULL) == 200;
		if (!good)
			printf("  round %d: the server does not answer\n", round);
		good = good && all_there(&s);
		killer = (struct killer){s.pid, (unsigned)rand() % KILL_US};
		pthread_create(&thread, NULL, kill_later, &killer);
		while (write_one(&s, n++))
			;
		pthread_join(thread, NULL);
		server_kill(&s, SIGKILL);
	}
	server_start(&s);
	good = good && all_there(&s);
	server_end(&s);
	printf("  %u writes, %zu objects kept in mind\n", n, kept.count);
	mesh_vec_each (k, &kept) {
		free(k->path);
		free(k->text);
	}
	mesh_vec_free(&kept);
	CHECK(good);
	CHECK(n > ROUNDS * 3);
}

TEST_MAIN()
