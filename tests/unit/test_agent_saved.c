/* SPDX-License-Identifier: Apache-2.0 */
/* The last good state on disk: what is read is what was committed, whatever a crash left. */
#include "test.h"

#include "agent/saved.h"
#include "core/buf.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct place {
	char dir[64];
	struct mesh_buf text;
};

static bool place_new(struct place *p)
{
	*p = (struct place){.dir = "/tmp/mesh-saved-XXXXXX"};
	return mkdtemp(p->dir) != NULL;
}

static void place_free(struct place *p)
{
	mesh_saved_remove(p->dir);
	rmdir(p->dir);
	mesh_buf_free(&p->text);
}

static void on_object(void *arg, const char *resource, const char *key, const json_t *obj)
{
	struct place *p = arg;

	mesh_buf_printf(&p->text, "%s %s %lld; ", resource, key,
			(long long)json_integer_value(json_object_get(obj, "n")));
}

static const char *read_back(struct place *p)
{
	long n;

	mesh_buf_clear(&p->text);
	n = mesh_saved_read(p->dir, on_object, p);
	if (n < 0)
		mesh_buf_str(&p->text, strerror((int)-n));
	return p->text.len ? p->text.data : "";
}

static void set(struct mesh_saved *s, const char *resource, const char *key, int n)
{
	json_t *obj = json_pack("{s:i, s:s}", "n", n, "text", "a\ttab, a\nline");

	mesh_saved_set(s, resource, key, obj);
	json_decref(obj);
}

TEST(what_was_committed_is_read)
{
	mesh_auto(place_free) struct place p;
	struct mesh_saved *s;

	CHECK(place_new(&p));
	CHECK_STR(read_back(&p), "No such file or directory");
	CHECK_INT(mesh_saved_new(&s, p.dir), 0);
	set(s, "services", "a/b", 1);
	set(s, "services", "a/c", 2);
	set(s, "pods", "a/b", 3);
	set(s, "services", "a/b", 4);
	mesh_saved_delete(s, "services", "a/c");
	CHECK_STR(read_back(&p), "No such file or directory"); /* not committed */
	mesh_saved_commit(s);
	set(s, "pods", "a/d", 5);
	mesh_saved_free(s);
	CHECK_STR(read_back(&p), "services a/b 4; pods a/b 3; pods a/d 5; ");
}

TEST(the_last_state_stays_until_the_next_is_committed)
{
	mesh_auto(place_free) struct place p;
	struct mesh_saved *s;

	CHECK(place_new(&p));
	CHECK_INT(mesh_saved_new(&s, p.dir), 0);
	set(s, "services", "a/b", 1);
	mesh_saved_commit(s);
	mesh_saved_free(s);
	CHECK_INT(mesh_saved_new(&s, p.dir), 0);
	set(s, "services", "a/b", 2);
	mesh_saved_free(s);
	CHECK_STR(read_back(&p), "services a/b 1; ");
	CHECK_INT(mesh_saved_new(&s, p.dir), 0);
	set(s, "services", "a/b", 3);
	mesh_saved_commit(s);
	mesh_saved_free(s);
	CHECK_STR(read_back(&p), "services a/b 3; ");
}

/* Wherever the file is cut, what stands before is read, and nothing is made of the rest. */
TEST(a_log_cut_anywhere_is_read_up_to_there)
{
	mesh_auto(place_free) struct place p;
	mesh_auto_free char *path = NULL;
	struct mesh_saved *s;
	struct stat st;

	CHECK(place_new(&p));
	CHECK_INT(mesh_saved_new(&s, p.dir), 0);
	set(s, "services", "a/b", 1);
	set(s, "services", "a/b", 2);
	mesh_saved_commit(s);
	mesh_saved_free(s);
	path = mesh_xasprintf("%s/state.log", p.dir);
	CHECK_INT(stat(path, &st), 0);
	for (off_t cut = st.st_size - 1; cut >= 0; cut--) {
		const char *text;

		CHECK_INT(truncate(path, cut), 0);
		text = read_back(&p);
		/* The last line is whole without its newline, too. */
		if (cut == st.st_size - 1)
			CHECK_STR(text, "services a/b 2; ");
		else if (cut >= st.st_size / 2 - 1)
			CHECK_STR(text, "services a/b 1; ");
		else
			CHECK_STR(text, "");
	}
}

TEST(a_damaged_line_does_not_count)
{
	mesh_auto(place_free) struct place p;
	mesh_auto_free char *path = NULL;
	mesh_auto_fd int fd = -1;
	struct mesh_saved *s;

	CHECK(place_new(&p));
	CHECK_INT(mesh_saved_new(&s, p.dir), 0);
	set(s, "services", "a/b", 1);
	set(s, "services", "a/c", 2);
	mesh_saved_commit(s);
	mesh_saved_free(s);
	path = mesh_xasprintf("%s/state.log", p.dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(pwrite(fd, "x", 1, 40) == 1);
	CHECK_STR(read_back(&p), "services a/c 2; ");
}

TEST(a_log_that_grew_is_rewritten)
{
	enum { ROUNDS = 200, SIZE = 100000 };
	mesh_auto(place_free) struct place p;
	mesh_auto_free char *path = NULL, *much = mesh_xmalloc(SIZE);
	struct mesh_saved *s;
	struct stat st;

	CHECK(place_new(&p));
	memset(much, 'x', SIZE - 1);
	much[SIZE - 1] = '\0';
	path = mesh_xasprintf("%s/state.log", p.dir);
	CHECK_INT(mesh_saved_new(&s, p.dir), 0);
	set(s, "services", "a/first", 1);
	mesh_saved_commit(s);
	for (int i = 0; i < ROUNDS; i++) {
		json_t *obj = json_pack("{s:i, s:s}", "n", i, "text", much);

		mesh_saved_set(s, "services", "a/b", obj);
		json_decref(obj);
	}
	mesh_saved_free(s);
	CHECK_INT(stat(path, &st), 0);
	CHECK(st.st_size < (off_t)ROUNDS * SIZE * 3 / 4);
	CHECK_STR(read_back(&p), "services a/first 1; services a/b 199; ");
}

TEST_MAIN()
