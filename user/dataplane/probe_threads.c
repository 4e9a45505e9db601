/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of a thread that waits in recv() while something else happens on its socket. */
#include "dataplane/probe_pair.h"

#include <sys/syscall.h>

enum { ASLEEP_MS = 100 };

static void *blocked_read(void *arg)
{
	struct blocked *b = arg;
	char byte;

	atomic_store(&b->tid, (int)syscall(SYS_gettid));
	b->got = recv(b->fd, &byte, 1, 0);
	b->error = errno;
	return NULL;
}

static bool is_asleep(int tid)
{
	mesh_auto_free char *path = mesh_xasprintf("/proc/self/task/%d/stat", tid);
	char text[128] = "";
	const char *at;
	FILE *f = tid ? fopen(path, "re") : NULL;

	if (!f)
		return false;
	at = fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
	fclose(f);
	return at && strncmp(at, ") S", 3) == 0;
}

bool mesh_probe_block(struct blocked *b, pthread_t *t)
{
	if (pthread_create(t, NULL, blocked_read, b) != 0)
		return false;
	/* On a busy machine that takes its time. */
	for (int i = 0; i < ASLEEP_MS && !is_asleep(atomic_load(&b->tid)); i++)
		usleep(1000);
	return true;
}

/* One thread waits in recv() while another's send() waits for room, and gets it. */
void mesh_probe_two_threads(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	static char buf[65536];
	struct blocked b = {.fd = p->a};
	pthread_t t;
	size_t left;

	(void)lab;
	if (!mesh_probe_block(&b, &t))
		return;
	left = flood(p->a);
	while (left > 0) {
		ssize_t n = recv(p->b, buf, sizeof(buf), 0);

		if (n <= 0)
			break;
		left -= (size_t)n;
	}
	if (left == 0 && send(p->b, "x", 1, MSG_NOSIGNAL) != 1)
		left = 1;
	pthread_join(t, NULL);
	SAW(row, left == 0 && b.got == 1, "recv() %s",
	    b.got == 1  ? "waits on"
	    : b.got < 0 ? strerror(b.error)
			: "gets the end");
}

/* One that waits in recv() learns why there is nothing more. */
void mesh_probe_reset(const struct lab *lab, struct pair *p, struct mesh_splice_row *row)
{
	struct linger now = {.l_onoff = 1};
	struct blocked b = {.fd = p->a};
	pthread_t t;

	(void)lab;
	if (!mesh_probe_block(&b, &t))
		return;
	setsockopt(p->b, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	mesh_cleanup_fd(&p->b);
	pthread_join(t, NULL);
	SAW(row, b.got < 0 && b.error == ECONNRESET, "recv() gets %s", b.got < 0 ? strerror(b.error) : "the end");
}
