/* SPDX-License-Identifier: Apache-2.0 */
/* core/: slices, buffers, files, arenas, vectors, maps, memory. */
#include "test.h"

#include "core/arena.h"
#include "core/buf.h"
#include "core/map.h"
#include "core/mem.h"
#include "core/vec.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define SLICE_IS(got, want)                                                                                            \
	do {                                                                                                           \
		struct mesh_slice _s = (got);                                                                          \
		char *_t = mesh_xstrndup(_s.ptr ? _s.ptr : "", _s.len);                                                \
		int _same = strcmp(_t, (want)) == 0;                                                                   \
		if (!_same)                                                                                            \
			printf("  %s:%d: \"%s\" is not \"%s\"\n", __FILE__, __LINE__, _t, (want));                     \
		free(_t);                                                                                              \
		CHECK(_same);                                                                                          \
	} while (0)

TEST(slice_of_string_and_null)
{
	CHECK_INT(mesh_slice_str("abc").len, 3);
	CHECK_INT(mesh_slice_str(NULL).len, 0);
	CHECK(mesh_slice_str(NULL).ptr == NULL);
	CHECK_INT(MESH_SLICE("ab\0c").len, 4);
	CHECK_INT(mesh_slice_of("abc", 2).len, 2);
}

TEST(slice_equality)
{
	CHECK(mesh_slice_eq(MESH_SLICE("ab"), MESH_SLICE("ab")));
	CHECK(!mesh_slice_eq(MESH_SLICE("ab"), MESH_SLICE("aB")));
	CHECK(!mesh_slice_eq(MESH_SLICE("ab"), MESH_SLICE("abc")));
	CHECK(mesh_slice_eq(MESH_SLICE(""), mesh_slice_str(NULL)));
	CHECK(mesh_slice_eq_nocase(MESH_SLICE("Content-LENGTH"), MESH_SLICE("content-length")));
	CHECK(!mesh_slice_eq_nocase(MESH_SLICE("content-length"), MESH_SLICE("content_length")));
	CHECK(!mesh_slice_eq_nocase(MESH_SLICE("host"), MESH_SLICE("hos")));
	CHECK(mesh_slice_eq_nocase(MESH_SLICE(""), mesh_slice_str(NULL)));
}

TEST(slice_starts_and_ends)
{
	CHECK(mesh_slice_starts(MESH_SLICE("abc"), MESH_SLICE("ab")));
	CHECK(mesh_slice_starts(MESH_SLICE("abc"), MESH_SLICE("")));
	CHECK(mesh_slice_starts(mesh_slice_str(NULL), mesh_slice_str(NULL)));
	CHECK(!mesh_slice_starts(MESH_SLICE("ab"), MESH_SLICE("abc")));
	CHECK(!mesh_slice_starts(MESH_SLICE("abc"), MESH_SLICE("bc")));
	CHECK(mesh_slice_ends(MESH_SLICE("abc"), MESH_SLICE("bc")));
	CHECK(mesh_slice_ends(MESH_SLICE("abc"), MESH_SLICE("abc")));
	CHECK(mesh_slice_ends(MESH_SLICE("abc"), MESH_SLICE("")));
	CHECK(!mesh_slice_ends(MESH_SLICE("bc"), MESH_SLICE("abc")));
	CHECK(!mesh_slice_ends(MESH_SLICE("abc"), MESH_SLICE("ab")));
}

TEST(slice_trim)
{
	SLICE_IS(mesh_slice_trim(MESH_SLICE(" \t\r\na b\n \t")), "a b");
	SLICE_IS(mesh_slice_trim(MESH_SLICE(" \t ")), "");
	SLICE_IS(mesh_slice_trim(mesh_slice_str(NULL)), "");
	SLICE_IS(mesh_slice_trim(MESH_SLICE("a\v")), "a\v");
}

TEST(slice_find)
{
	CHECK_INT(mesh_slice_find(MESH_SLICE("a:b:c"), ':'), 1);
	CHECK_INT(mesh_slice_find(MESH_SLICE("abc"), ':'), -1);
	CHECK_INT(mesh_slice_find(mesh_slice_str(NULL), ':'), -1);
	CHECK_INT(mesh_slice_find(mesh_slice_of("ab:", 2), ':'), -1);
}

TEST(slice_split_takes_every_part)
{
	struct mesh_slice s = MESH_SLICE("a,,bc,"), part;

	CHECK(mesh_slice_split(&s, ',', &part));
	SLICE_IS(part, "a");
	CHECK(mesh_slice_split(&s, ',', &part));
	SLICE_IS(part, "");
	CHECK(mesh_slice_split(&s, ',', &part));
	SLICE_IS(part, "bc");
	CHECK(mesh_slice_split(&s, ',', &part));
	SLICE_IS(part, "");
	CHECK(!mesh_slice_split(&s, ',', &part));
	s = MESH_SLICE("");
	CHECK(mesh_slice_split(&s, ',', &part));
	SLICE_IS(part, "");
	CHECK(!mesh_slice_split(&s, ',', &part));
	s = mesh_slice_str(NULL);
	CHECK(!mesh_slice_split(&s, ',', &part));
}

/* Where the separator stands must not matter: every split point of a text gives its two halves. */
TEST(slice_split_at_every_point)
{
	char text[] = "0123456789abcdef";

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		char copy[sizeof(text)];
		struct mesh_slice s, a, b;

		memcpy(copy, text, sizeof(text));
		copy[i] = '|';
		s = mesh_slice_str(copy);
		CHECK(mesh_slice_split(&s, '|', &a));
		CHECK(mesh_slice_split(&s, '|', &b));
		CHECK_INT(a.len, i);
		CHECK_INT(b.len, sizeof(text) - 2 - i);
		CHECK(!mesh_slice_split(&s, '|', &a));
	}
}

TEST(slice_to_number)
{
	uint64_t v = 7;

	CHECK_INT(mesh_slice_to_u64(MESH_SLICE("0"), 10, &v), 0);
	CHECK_INT(v, 0);
	CHECK_INT(mesh_slice_to_u64(MESH_SLICE("0065535"), 65535, &v), 0);
	CHECK_INT(v, 65535);
	CHECK_INT(mesh_slice_to_u64(MESH_SLICE("18446744073709551615"), UINT64_MAX, &v), 0);
	CHECK(v == UINT64_MAX);
	v = 7;
	CHECK_INT(mesh_slice_to_u64(MESH_SLICE("18446744073709551616"), UINT64_MAX, &v), -ERANGE);
	CHECK_INT(mesh_slice_to_u64(MESH_SLICE("99999999999999999999999"), UINT64_MAX, &v), -ERANGE);
	CHECK_INT(mesh_slice_to_u64(MESH_SLICE("11"), 10, &v), -ERANGE);
	CHECK_INT(mesh_slice_to_u64(MESH_SLICE(""), 10, &v), -EINVAL);
	CHECK_INT(mesh_slice_to_u64(MESH_SLICE("+1"), 10, &v), -EINVAL);
	CHECK_INT(mesh_slice_to_u64(MESH_SLICE("-1"), 10, &v), -EINVAL);
	CHECK_INT(mesh_slice_to_u64(MESH_SLICE(" 1"), 10, &v), -EINVAL);
	CHECK_INT(mesh_slice_to_u64(MESH_SLICE("1x"), 10, &v), -EINVAL);
	CHECK_INT(v, 7);
}

TEST(buf_builds_text)
{
	struct mesh_buf b = {0};

	CHECK_INT(mesh_buf_view(&b).len, 0);
	CHECK(mesh_buf_view(&b).ptr != NULL);
	mesh_buf_str(&b, "one");
	mesh_buf_char(&b, ' ');
	mesh_buf_add(&b, "two\0", 4);
	mesh_buf_slice(&b, MESH_SLICE("|"));
	mesh_buf_printf(&b, "%d-%s", 42, "x");
	CHECK_INT(b.len, 3 + 1 + 4 + 1 + 4);
	CHECK(memcmp(b.data, "one two\0|42-x", b.len + 1) == 0);
	mesh_buf_clear(&b);
	CHECK_INT(b.len, 0);
	CHECK_STR(b.data, "");
	mesh_buf_printf(&b, "%s", "");
	CHECK_INT(b.len, 0);
	mesh_buf_free(&b);
	CHECK(b.data == NULL);
	mesh_buf_clear(&b);
	mesh_buf_add(&b, NULL, 0);
	CHECK_STR(b.data, "");
	mesh_buf_free(&b);
}

TEST(buf_room_is_exact_and_grows)
{
	struct mesh_buf b = {0};

	for (size_t i = 0; i < 5000; i++) {
		char *to = mesh_buf_room(&b, 3);

		memcpy(to, "abc", 3);
		b.len += 3;
		b.data[b.len] = '\0';
		CHECK(b.capacity > b.len);
	}
	CHECK_INT(strlen(b.data), 15000);
	mesh_buf_free(&b);
}

TEST(buf_consume_at_every_point)
{
	for (size_t i = 0; i <= 10; i++) {
		struct mesh_buf b = {0};

		mesh_buf_str(&b, "0123456789");
		mesh_buf_consume(&b, i);
		CHECK_INT(b.len, 10 - i);
		CHECK_STR(b.data, "0123456789" + i);
		mesh_buf_free(&b);
	}
}

TEST(buf_steal)
{
	struct mesh_buf b = {0};
	char *s = mesh_buf_steal(&b);

	CHECK_STR(s, "");
	free(s);
	mesh_buf_str(&b, "text");
	s = mesh_buf_steal(&b);
	CHECK_STR(s, "text");
	CHECK(b.data == NULL && b.len == 0 && b.capacity == 0);
	free(s);
}

static void format_va(struct mesh_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void format_va(struct mesh_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	mesh_buf_vprintf(b, fmt, ap);
	va_end(ap);
}

TEST(buf_vprintf_longer_than_its_capacity)
{
	struct mesh_buf b = {0};

	format_va(&b, "%0500d|%s", 7, "end");
	CHECK_INT(b.len, 504);
	CHECK_STR(b.data + 499, "7|end");
	mesh_buf_free(&b);
}

/* Stands before libc's: what was synced. */
static unsigned synced_files, synced_dirs;

int fsync(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0)
		S_ISDIR(st.st_mode) ? synced_dirs++ : synced_files++;
	return fdatasync(fd);
}

TEST(file_write_syncs_file_and_directory)
{
	char dir[] = "/tmp/mesh-test-XXXXXX", *path, *tmp, *aim, *here = getcwd(NULL, 0);
	struct mesh_buf b = {0};

	CHECK(mkdtemp(dir));
	path = mesh_xasprintf("%s/file", dir);
	tmp = mesh_xasprintf("%s/file.%d.tmp", dir, (int)getpid());
	aim = mesh_xasprintf("%s/other", dir);
	synced_files = synced_dirs = 0;
	CHECK_INT(mesh_file_write(path, MESH_SLICE("x"), 0600), 0);
	CHECK_INT(synced_files, 1);
	CHECK_INT(synced_dirs, 1);
	CHECK_INT(chdir(dir), 0);
	CHECK_INT(mesh_file_write("file", MESH_SLICE("y"), 0600), 0);
	CHECK_INT(synced_dirs, 2);
	CHECK_INT(chdir(here), 0);
	/* What lies where the temporary file goes is not written through. */
	CHECK_INT(symlink(aim, tmp), 0);
	CHECK_INT(mesh_file_write(path, MESH_SLICE("z"), 0600), 0);
	CHECK_INT(access(aim, F_OK), -1);
	CHECK_INT(mesh_file_read(path, 5, &b), 0);
	CHECK_STR(b.data, "z");
	CHECK_INT(unlink(path), 0);
	CHECK_INT(rmdir(dir), 0);
	mesh_buf_free(&b);
	free(path);
	free(tmp);
	free(aim);
	free(here);
}

TEST(file_write_replaces_and_read_limits)
{
	char dir[] = "/tmp/mesh-test-XXXXXX", *path;
	struct mesh_buf b = {0};
	struct stat st;

	CHECK(mkdtemp(dir));
	path = mesh_xasprintf("%s/file", dir);
	CHECK_INT(mesh_file_read(path, 100, &b), -ENOENT);
	CHECK(b.data == NULL);
	CHECK_INT(mesh_file_write(path, MESH_SLICE("first content"), 0600), 0);
	CHECK_INT(mesh_file_write(path, MESH_SLICE("second"), 0640), 0);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_size, 6);
	CHECK_INT(mesh_file_read(path, 6, &b), 0);
	CHECK_STR(b.data, "second");
	CHECK_INT(mesh_file_read(path, 5, &b), -EFBIG);
	CHECK_STR(b.data, "second");
	CHECK_INT(mesh_file_write(path, MESH_SLICE(""), 0600), 0);
	CHECK_INT(mesh_file_read(path, 5, &b), 0);
	CHECK_STR(b.data, "");
	CHECK_INT(unlink(path), 0);
	mesh_buf_free(&b);
	CHECK_INT(mesh_file_read(dir, 5, &b), -EISDIR);
	CHECK_INT(rmdir(dir), 0); /* no temporary file was left */
	CHECK_INT(mesh_file_write(path, MESH_SLICE("x"), 0600), -ENOENT);
	free(path);
}

TEST(arena_alignment_and_accounting)
{
	struct mesh_arena a = {0};

	for (size_t size = 0; size < 300; size++) {
		char *p = mesh_arena_alloc(&a, size);

		CHECK(p != NULL);
		CHECK_INT((uintptr_t)p % 16, 0);
		memset(p, 0xaa, size);
	}
	CHECK(a.used >= 299 * 300 / 2);
	mesh_arena_free(&a);
	CHECK_INT(a.used, 0);
	CHECK(a.blocks == NULL);
}

TEST(arena_big_pieces_and_zeroes)
{
	struct mesh_arena a = {0};
	unsigned char *big = mesh_arena_zalloc(&a, 1 << 20);
	uint64_t *n = mesh_arena_new(&a, uint64_t), *list = mesh_arena_array(&a, uint64_t, 1000);

	for (size_t i = 0; i < 1 << 20; i++)
		CHECK(big[i] == 0);
	CHECK(*n == 0);
	for (size_t i = 0; i < 1000; i++)
		CHECK(list[i] == 0);
	mesh_arena_free(&a);
}

TEST(arena_reset_keeps_one_block)
{
	struct mesh_arena a = {0};
	char *first, *again;

	mesh_arena_reset(&a);
	CHECK(a.blocks == NULL);
	first = mesh_arena_alloc(&a, 100);
	memset(first, 'x', 100);
	mesh_arena_reset(&a);
	CHECK_INT(a.used, 0);
	again = mesh_arena_alloc(&a, 100);
	CHECK(again == first);
	for (int i = 0; i < 100; i++)
		mesh_arena_alloc(&a, 1000);
	mesh_arena_reset(&a);
	CHECK_INT(a.used, 0);
	mesh_arena_alloc(&a, 1);
	CHECK_INT(a.used, 16);
	mesh_arena_free(&a);
}

TEST(arena_strings)
{
	struct mesh_arena a = {0};

	CHECK_STR(mesh_arena_strdup(&a, "abc"), "abc");
	CHECK(mesh_arena_strdup(&a, NULL) == NULL);
	CHECK_STR(mesh_arena_slice(&a, mesh_slice_of("abcdef", 3)), "abc");
	CHECK_STR(mesh_arena_slice(&a, mesh_slice_str(NULL)), "");
	CHECK_STR(mesh_arena_printf(&a, "%s|%05d", "x", 42), "x|00042");
	CHECK_STR(mesh_arena_printf(&a, "%s", ""), "");
	CHECK_INT(strlen(mesh_arena_printf(&a, "%05000d", 1)), 5000);
	mesh_arena_free(&a);
}

TEST(vec_push_add_remove_each)
{
	MESH_VEC(int) v = {0};
	int sum = 0;

	mesh_vec_each (it, &v)
		sum += *it;
	CHECK_INT(sum, 0);
	for (int i = 0; i < 100; i++)
		mesh_vec_push(&v, i);
	*mesh_vec_add(&v) = 100;
	CHECK_INT(v.count, 101);
	CHECK_INT(v.items[100], 100);
	mesh_vec_remove(&v, 0);
	mesh_vec_remove(&v, v.count - 1);
	mesh_vec_remove(&v, 49); /* 50 */
	CHECK_INT(v.count, 98);
	CHECK_INT(v.items[0], 1);
	CHECK_INT(v.items[49], 51);
	mesh_vec_each (it, &v)
		sum += *it;
	CHECK_INT(sum, 4950 - 50);
	mesh_vec_reserve(&v, 1000);
	CHECK(v.capacity >= 1000);
	CHECK_INT(v.count, 98);
	CHECK_INT(*mesh_vec_add(&v), 0);
	mesh_vec_free(&v);
	CHECK(v.items == NULL && v.count == 0 && v.capacity == 0);
}

TEST(map_put_get_remove)
{
	struct mesh_map m = {0};
	int a, b;

	CHECK(mesh_map_get_str(&m, "a") == NULL);
	CHECK(mesh_map_remove_str(&m, "a") == NULL);
	CHECK(mesh_map_put_str(&m, "a", &a) == NULL);
	CHECK(mesh_map_put_str(&m, "a", &b) == &a);
	CHECK_INT(m.count, 1);
	CHECK(mesh_map_get_str(&m, "a") == &b);
	CHECK(mesh_map_get_str(&m, "A") == NULL);
	CHECK(mesh_map_remove_str(&m, "a") == &b);
	CHECK(mesh_map_get_str(&m, "a") == NULL);
	CHECK_INT(m.count, 0);
	mesh_map_free(&m);
	CHECK(m.entries == NULL);
	mesh_map_free(&m);
}

TEST(map_keys_are_bytes)
{
	struct mesh_map m = {0};
	int a, b, empty;

	mesh_map_put(&m, mesh_slice_of("k\0a", 3), &a);
	mesh_map_put(&m, mesh_slice_of("k\0b", 3), &b);
	mesh_map_put(&m, mesh_slice_str(NULL), &empty);
	CHECK(mesh_map_get(&m, mesh_slice_of("k\0a", 3)) == &a);
	CHECK(mesh_map_get(&m, mesh_slice_of("k\0b", 3)) == &b);
	CHECK(mesh_map_get_str(&m, "k") == NULL);
	CHECK(mesh_map_get_str(&m, "") == &empty);
	mesh_map_free(&m);
}

TEST(map_many_with_churn)
{
	enum { N = 20000 };
	struct mesh_map m = {0};
	static char values[N];
	char key[32];

	for (int i = 0; i < N; i++) {
		snprintf(key, sizeof(key), "key-%d", i);
		CHECK(mesh_map_put_str(&m, key, &values[i]) == NULL);
		if (i % 3 == 2) { /* remove what was added two turns ago */
			snprintf(key, sizeof(key), "key-%d", i - 2);
			CHECK(mesh_map_remove_str(&m, key) == &values[i - 2]);
		}
	}
	for (int i = 0; i < N; i++) {
		int gone = i % 3 == 0 && i + 2 < N;

		snprintf(key, sizeof(key), "key-%d", i);
		CHECK(mesh_map_get_str(&m, key) == (gone ? NULL : &values[i]));
	}
	/* Removing and adding for ever does not fill the table. */
	for (int i = 0; i < 100000; i++) {
		CHECK(mesh_map_put_str(&m, "again", &m) == NULL);
		CHECK(mesh_map_remove_str(&m, "again") == &m);
	}
	CHECK(m.slot_count <= 131072);
	mesh_map_free(&m);
}

TEST(map_iterates_in_insertion_order)
{
	struct mesh_map m = {0};
	char order[64] = "";
	size_t it = 0;

	CHECK(mesh_map_next(&m, &it) == NULL);
	for (const char *k = "hgfedcba"; *k; k++)
		mesh_map_put(&m, mesh_slice_of(k, 1), &m);
	mesh_map_remove_str(&m, "e");
	mesh_map_each (e, &m) {
		strcat(order, e->key);
		CHECK(e->value == &m);
		if (strcmp(e->key, "d") == 0)
			mesh_map_remove(&m, mesh_slice_of("d", 1));
	}
	CHECK_STR(order, "hgfdcba");
	CHECK(mesh_map_get_str(&m, "d") == NULL);
	CHECK_INT(m.count, 6);
	mesh_map_free(&m);
}

TEST(hash_depends_on_every_byte_and_the_length)
{
	unsigned char data[40] = {0};
	uint64_t base = mesh_hash(data, sizeof(data));

	CHECK(mesh_hash(data, sizeof(data)) == base);
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = 1;
		CHECK(mesh_hash(data, sizeof(data)) != base);
		data[i] = 0;
		CHECK(mesh_hash(data, i) != base);
	}
}

TEST(mem_cleanup_steal_and_strings)
{
	int moved, fds[2], value = 5;
	char *kept;

	CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
	{
		mesh_auto_fd int closed = fds[0];
		mesh_auto_fd int stolen = fds[1];
		mesh_auto_free char *gone = mesh_xstrdup("gone");
		mesh_auto_free char *text = mesh_xasprintf("%s-%d", "kept", value);

		CHECK_STR(gone, "gone");
		CHECK(closed >= 0);
		moved = mesh_steal_fd(&stolen);
		CHECK_INT(stolen, -1);
		kept = mesh_steal(text);
		CHECK(text == NULL);
	}
	CHECK_INT(fcntl(fds[0], F_GETFD), -1);
	CHECK(fcntl(moved, F_GETFD) >= 0);
	errno = ENOTTY;
	mesh_cleanup_fd(&moved);
	CHECK_INT(errno, ENOTTY); /* cleaning up keeps errno */
	CHECK_INT(moved, -1);
	CHECK_STR(kept, "kept-5");
	free(kept);
	CHECK(mesh_xstrdup(NULL) == NULL);
	kept = mesh_xstrndup("abcdef", 2);
	CHECK_STR(kept, "ab");
	free(kept);
}

TEST(mem_sizes_of_zero_give_memory)
{
	void *p = mesh_xmalloc(0), *q = mesh_xcalloc(0, 8);
	unsigned char *z = mesh_xcalloc(16, 4);

	CHECK(p && q);
	for (int i = 0; i < 64; i++)
		CHECK(z[i] == 0);
	z = mesh_xrealloc(z, 1000);
	memset(z, 1, 1000);
	free(p);
	free(q);
	free(z);
}

TEST(mem_macros_evaluate_once)
{
	int i = 1, list[7];
	struct {
		int before, member;
	} outer, *found;

	CHECK_INT(MESH_ARRAY_SIZE(list), 7);
	CHECK_INT(MESH_MIN(i++, 5), 1);
	CHECK_INT(MESH_MAX(i++, 1), 2);
	CHECK_INT(i, 3);
	found = mesh_container_of(&outer.member, __typeof__(outer), member);
	CHECK(found == &outer);
}

TEST_MAIN()
