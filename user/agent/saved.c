/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/saved.h"

#include "core/buf.h"
#include "core/map.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

/* A line: 16 hexadecimal digits over the rest, "+" or "-", resource, key, and for "+" the object; by tabs. */
enum { SUM_LEN = 16, MOMENT_MS = 200, QUEUE_MAX = 4 << 20, GROWN_MIN = 8 << 20 };

static const char current[] = "state.log", fresh[] = "state.log.new", rewritten[] = "state.log.tmp";

struct mesh_saved {
	char *dir;
	int fd;
	off_t size, least; /* of the log; when it was last rewritten. The thread's, once it runs */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, room;
	struct mesh_buf queue;       /* under lock */
	bool stop, commit, in_place; /* under lock; in_place: the log is the current one. The thread's */
};

static uint64_t sum_of(const char *p, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)p[i]) * 0x100000001b3ULL;
	return h;
}

static char *path_of(const char *dir, const char *name)
{
	return mesh_xasprintf("%s/%s", dir, name);
}

static int write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Reading. */

struct line {
	bool set;
	const char *resource, *key, *text;
	size_t text_len;
};

/* Cuts the line (whose tabs become NULs). Returns false for one that is not whole. */
static bool parse_line(char *p, size_t len, struct line *ret)
{
	char *end = p + len, *resource, *key, *text;
	char sum[SUM_LEN + 1];

	if (len < SUM_LEN + 5)
		return false;
	snprintf(sum, sizeof(sum), "%016llx", (unsigned long long)sum_of(p + SUM_LEN, len - SUM_LEN));
	if (memcmp(sum, p, SUM_LEN) != 0)
		return false;
	resource = p + SUM_LEN + 2;
	key = memchr(resource, '\t', (size_t)(end - resource));
	text = key ? memchr(key + 1, '\t', (size_t)(end - key - 1)) : NULL;
	if (!text)
		return false;
	*key++ = '\0';
	*text++ = '\0';
	*ret = (struct line){.set = p[SUM_LEN] == '+',
			     .resource = resource,
			     .key = key,
			     .text = text,
			     .text_len = (size_t)(end - text)};
	return true;
}

struct place {
	off_t at;
	size_t len;
};

/* Where the last word on each object is. The keys of *ret are "RESOURCE\tKEY". */
static void index_log(FILE *f, struct mesh_map *ret)
{
	char *line = NULL;
	size_t room = 0;
	off_t at = 0;
	ssize_t n;

	while ((n = getline(&line, &room, f)) > 0) {
		size_t len = line[n - 1] == '\n' ? (size_t)n - 1 : (size_t)n;
		mesh_auto_free char *key = NULL;
		struct place *place;
		struct line l;

		if (parse_line(line, len, &l)) {
			key = mesh_xasprintf("%s\t%s", l.resource, l.key);
			place = l.set ? mesh_xcalloc(1, sizeof(*place)) : NULL;
			if (place)
				*place = (struct place){at, len};
			free(place ? mesh_map_put_str(ret, key, place) : mesh_map_remove_str(ret, key));
		}
		at += n;
	}
	free(line);
}

static void index_free(struct mesh_map *index)
{
	mesh_map_each (e, index)
		free(e->value);
	mesh_map_free(index);
}

static char *read_at(FILE *f, const struct place *place)
{
	char *line = mesh_xmalloc(place->len + 2);

	if (fseeko(f, place->at, SEEK_SET) == 0 && fread(line, 1, place->len, f) == place->len) {
		line[place->len] = '\0';
		return line;
	}
	free(line);
	return NULL;
}

long mesh_saved_read(const char *dir, mesh_saved_fn *fn, void *arg)
{
	mesh_auto_free char *path = path_of(dir, current);
	mesh_auto(index_free) struct mesh_map index = {0};
	FILE *f = fopen(path, "re");
	long n = 0;

	if (!f)
		return -errno;
	index_log(f, &index);
	mesh_map_each (e, &index) {
		struct place *place = e->value;
		mesh_auto_free char *line = read_at(f, place);
		struct line l;
		json_t *obj;

		if (!line || !parse_line(line, place->len, &l))
			continue;
		obj = json_loadb(l.text, l.text_len, JSON_ALLOW_NUL, NULL);
		if (obj) {
			fn(arg, l.resource, l.key, obj);
			n++;
		}
		json_decref(obj);
	}
	fclose(f);
	return n;
}

void mesh_saved_remove(const char *dir)
{
	static const char *const names[] = {current, fresh, rewritten};

	for (size_t i = 0; i < MESH_ARRAY_SIZE(names); i++) {
		mesh_auto_free char *path = path_of(dir, names[i]);

		unlink(path);
	}
}

/* The thread. */

/* Only the last word on each object, in a new file that takes the log's place. */
static int rewrite(struct mesh_saved *s)
{
	mesh_auto_free char *path = path_of(s->dir, current), *tmp = path_of(s->dir, rewritten);
	mesh_auto(index_free) struct mesh_map index = {0};
	mesh_auto_fd int fd = open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	FILE *f = fopen(path, "re");
	int r = f && fd >= 0 ? 0 : -errno;

	if (r == 0)
		index_log(f, &index);
	mesh_map_each (e, &index) {
		mesh_auto_free char *line = r == 0 ? read_at(f, e->value) : NULL;
		struct place *place = e->value;

		if (!line)
			continue;
		line[place->len] = '\n';
		r = write_all(fd, line, place->len + 1);
	}
	if (f)
		fclose(f);
	if (r == 0 && (fdatasync(fd) < 0 || rename(tmp, path) < 0))
		r = -errno;
	if (r < 0)
		return r;
	close(s->fd);
	s->fd = mesh_steal_fd(&fd);
	s->size = s->least = lseek(s->fd, 0, SEEK_END);
	return 0;
}

static void put_in_place(struct mesh_saved *s)
{
	mesh_auto_free char *from = path_of(s->dir, fresh), *to = path_of(s->dir, current);

	fdatasync(s->fd);
	if (rename(from, to) == 0) {
		s->in_place = true;
		s->least = s->size;
	}
}

static void write_out(struct mesh_saved *s, const struct mesh_buf *out, bool commit)
{
	if (out->len && write_all(s->fd, out->data, out->len) == 0)
		s->size += (off_t)out->len;
	if (commit && !s->in_place)
		put_in_place(s);
	if (s->in_place && s->size > 2 * s->least + GROWN_MIN && rewrite(s) < 0)
		s->least = s->size; /* a full disk, say: not again at once */
}

/* What comes within a moment is written together. */
static void wait_for_more(struct mesh_saved *s)
{
	struct timespec until;

	while (!s->stop && !s->commit && s->queue.len == 0)
		pthread_cond_wait(&s->wake, &s->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += MOMENT_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (!s->stop && !s->commit && s->queue.len < QUEUE_MAX / 2 &&
	       pthread_cond_timedwait(&s->wake, &s->lock, &until) != ETIMEDOUT)
		;
}

static void *run(void *arg)
{
	struct mesh_saved *s = arg;
	bool stop = false;

	while (!stop) {
		struct mesh_buf out;
		bool commit;

		pthread_mutex_lock(&s->lock);
		wait_for_more(s);
		out = s->queue;
		s->queue = (struct mesh_buf){0};
		commit = s->commit;
		s->commit = false;
		stop = s->stop;
		pthread_cond_signal(&s->room);
		pthread_mutex_unlock(&s->lock);
		write_out(s, &out, commit);
		mesh_buf_free(&out);
	}
	return NULL;
}

static int make_dirs(const char *dir)
{
	mesh_auto_free char *path = mesh_xstrdup(dir);

	for (char *c = path + 1; *c; c++) {
		if (*c != '/')
			continue;
		*c = '\0';
		mkdir(path, 0755);
		*c = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int mesh_saved_new(struct mesh_saved **ret, const char *dir)
{
	mesh_auto_free char *path = path_of(dir, fresh);
	struct mesh_saved *s;
	int r = make_dirs(dir), fd;

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	s = mesh_xcalloc(1, sizeof(*s));
	s->dir = mesh_xstrdup(dir);
	s->fd = fd;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	pthread_cond_init(&s->room, NULL);
	r = pthread_create(&s->thread, NULL, run, s);
	if (r) {
		close(fd);
		free(s->dir);
		free(s);
		return -r;
	}
	*ret = s;
	return 0;
}

static void add(struct mesh_saved *s, char sign, const char *resource, const char *key, const char *text)
{
	mesh_auto(mesh_buf_free) struct mesh_buf line = {0};

	mesh_buf_printf(&line, "%c\t%s\t%s\t", sign, resource, key);
	mesh_buf_str(&line, text);
	pthread_mutex_lock(&s->lock);
	while (s->queue.len > QUEUE_MAX)
		pthread_cond_wait(&s->room, &s->lock);
	mesh_buf_printf(&s->queue, "%016llx", (unsigned long long)sum_of(line.data, line.len));
	mesh_buf_slice(&s->queue, mesh_buf_view(&line));
	mesh_buf_char(&s->queue, '\n');
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

void mesh_saved_set(struct mesh_saved *s, const char *resource, const char *key, const json_t *obj)
{
	char *text = json_dumps(obj, JSON_COMPACT);

	if (text)
		add(s, '+', resource, key, text);
	free(text);
}

void mesh_saved_delete(struct mesh_saved *s, const char *resource, const char *key)
{
	add(s, '-', resource, key, "");
}

void mesh_saved_commit(struct mesh_saved *s)
{
	pthread_mutex_lock(&s->lock);
	s->commit = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

void mesh_saved_free(struct mesh_saved *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->wake);
	pthread_cond_destroy(&s->room);
	mesh_buf_free(&s->queue);
	close(s->fd);
	free(s->dir);
	free(s);
}
