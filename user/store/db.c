/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

static const char schema[] =
	"PRAGMA journal_mode=WAL;"
	"PRAGMA synchronous=FULL;"
	"PRAGMA locking_mode=EXCLUSIVE;"
	"PRAGMA wal_autocheckpoint=2000;"
	"CREATE TABLE IF NOT EXISTS objects("
	" grp TEXT NOT NULL, plural TEXT NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL,"
	" rv INTEGER NOT NULL, body TEXT NOT NULL,"
	" PRIMARY KEY(grp, plural, ns, name)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS log("
	" rv INTEGER PRIMARY KEY, grp TEXT NOT NULL, plural TEXT NOT NULL, ns TEXT NOT NULL,"
	" name TEXT NOT NULL, type INTEGER NOT NULL, body TEXT NOT NULL, before TEXT NOT NULL);"
	"CREATE TABLE IF NOT EXISTS numbers(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;";

enum statement {
	BEGIN,
	COMMIT,
	PUT,
	REMOVE,
	APPEND,
	TRIM,
	SET,
	GET,
	STATEMENTS,
};

static const char *const sql[STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[PUT] = "INSERT OR REPLACE INTO objects(grp, plural, ns, name, rv, body) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
	[REMOVE] = "DELETE FROM objects WHERE grp = ?1 AND plural = ?2 AND ns = ?3 AND name = ?4",
	[APPEND] =
		"INSERT INTO log(grp, plural, ns, name, rv, body, before, type) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
	[TRIM] = "DELETE FROM log WHERE rv <= ?5",
	[SET] = "INSERT OR REPLACE INTO numbers(name, value) VALUES(?4, ?5)",
	[GET] = "SELECT value FROM numbers WHERE name = ?4",
};

struct mesh_db {
	sqlite3 *handle;
	sqlite3_stmt *statements[STATEMENTS];
	bool busy;
};

static int fail(struct mesh_db *db, struct mesh_errs *errs, const char *path)
{
	mesh_errs_add(errs, "%s: %s", path, db->handle ? sqlite3_errmsg(db->handle) : "out of memory");
	mesh_db_free(db);
	return -EIO;
}

/* Secrets are in it: for its owner alone, as are the files beside it, which take over its mode. */
static int make_private(const char *path, struct mesh_errs *errs)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	mesh_auto_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int r;

	if (fd < 0) {
		r = -errno;
		mesh_errs_add(errs, "%s: %s", path, strerror(-r));
		return r;
	}
	for (size_t i = 0; i < MESH_ARRAY_SIZE(suffixes); i++) {
		mesh_auto_free char *name = mesh_xasprintf("%s%s", path, suffixes[i]);

		if (chmod(name, 0600) < 0 && errno != ENOENT) {
			r = -errno;
			mesh_errs_add(errs, "%s: %s", name, strerror(-r));
			return r;
		}
	}
	return 0;
}

int mesh_db_open(struct mesh_db **ret, const char *path, struct mesh_errs *errs)
{
	int r = make_private(path, errs);
	struct mesh_db *db;

	if (r < 0)
		return r;
	db = mesh_xcalloc(1, sizeof(*db));
	if (sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK)
		return fail(db, errs, path);
	sqlite3_busy_timeout(db->handle, 2000); /* the last process may still be closing */
	if (sqlite3_exec(db->handle, schema, NULL, NULL, NULL) != SQLITE_OK)
		return fail(db, errs, path);
	for (int i = 0; i < STATEMENTS; i++)
		if (sqlite3_prepare_v3(db->handle, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL) !=
		    SQLITE_OK)
			return fail(db, errs, path);
	*ret = db;
	return 0;
}

void mesh_db_free(struct mesh_db *db)
{
	if (!db)
		return;
	for (int i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(db->statements[i]);
	sqlite3_close(db->handle);
	free(db);
}

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
	if (text && at <= sqlite3_bind_parameter_count(s))
		sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

static void bind_slice(sqlite3_stmt *s, int at, struct mesh_slice text)
{
	if (at <= sqlite3_bind_parameter_count(s))
		sqlite3_bind_text64(s, at, text.ptr ? text.ptr : "", text.len, SQLITE_STATIC, SQLITE_UTF8);
}

static int run(struct mesh_db *db, enum statement which, const struct mesh_db_row *row)
{
	sqlite3_stmt *s = db->statements[which];
	int r;

	if (row) {
		bind_text(s, 1, row->group);
		bind_text(s, 2, row->plural);
		bind_text(s, 3, row->ns);
		bind_text(s, 4, row->name);
		if (sqlite3_bind_parameter_count(s) >= 5)
			sqlite3_bind_int64(s, 5, (sqlite3_int64)row->rv);
		bind_slice(s, 6, row->body);
		bind_slice(s, 7, row->before);
		if (sqlite3_bind_parameter_count(s) >= 8)
			sqlite3_bind_int(s, 8, row->type);
	}
	r = sqlite3_step(s);
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return r == SQLITE_DONE || r == SQLITE_ROW ? 0 : -EIO;
}

static int change(struct mesh_db *db, enum statement which, const struct mesh_db_row *row)
{
	if (!db->busy) {
		if (run(db, BEGIN, NULL) < 0)
			return -EIO;
		db->busy = true;
	}
	return run(db, which, row);
}

int mesh_db_put(struct mesh_db *db, const struct mesh_db_row *row)
{
	return change(db, PUT, row);
}

int mesh_db_remove(struct mesh_db *db, const struct mesh_db_row *row)
{
	return change(db, REMOVE, row);
}

int mesh_db_append(struct mesh_db *db, const struct mesh_db_row *row)
{
	return change(db, APPEND, row);
}

int mesh_db_trim(struct mesh_db *db, uint64_t rv)
{
	return change(db, TRIM, &(struct mesh_db_row){.rv = rv});
}

int mesh_db_set(struct mesh_db *db, const char *name, uint64_t value)
{
	return change(db, SET, &(struct mesh_db_row){.name = name, .rv = value});
}

uint64_t mesh_db_get(struct mesh_db *db, const char *name, uint64_t fallback)
{
	sqlite3_stmt *s = db->statements[GET];
	uint64_t value = fallback;

	sqlite3_bind_text(s, 4, name, -1, SQLITE_STATIC);
	if (sqlite3_step(s) == SQLITE_ROW)
		value = (uint64_t)sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return value;
}

bool mesh_db_busy(const struct mesh_db *db)
{
	return db->busy;
}

int mesh_db_commit(struct mesh_db *db)
{
	if (!db->busy)
		return 0;
	if (run(db, COMMIT, NULL) < 0)
		return -EIO;
	db->busy = false;
	return 0;
}

void mesh_db_rollback(struct mesh_db *db)
{
	if (db->busy)
		sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
	db->busy = false;
}

const char *mesh_db_error(const struct mesh_db *db)
{
	return sqlite3_errmsg(db->handle);
}

static struct mesh_slice column(sqlite3_stmt *s, int at)
{
	const char *text = (const char *)sqlite3_column_text(s, at);

	return mesh_slice_of(text ? text : "", (size_t)sqlite3_column_bytes(s, at));
}

static int each(sqlite3_stmt *s, mesh_db_fn *fn, void *arg)
{
	int r = 0, step = SQLITE_DONE;

	while (r == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
		struct mesh_db_row row = {
			.group = column(s, 0).ptr,
			.plural = column(s, 1).ptr,
			.ns = column(s, 2).ptr,
			.name = column(s, 3).ptr,
			.rv = (uint64_t)sqlite3_column_int64(s, 4),
			.body = column(s, 5),
			.before = column(s, 6),
			.type = sqlite3_column_int(s, 7),
		};

		r = fn(arg, &row);
	}
	sqlite3_finalize(s);
	return r < 0 ? r : step == SQLITE_DONE ? 0 : -EIO;
}

int mesh_db_objects(struct mesh_db *db, const char *group, const char *plural, mesh_db_fn *fn, void *arg)
{
	static const char text[] = "SELECT grp, plural, ns, name, rv, body, '', 0 FROM objects"
				   " WHERE ?1 IS NULL OR (grp = ?1 AND plural = ?2) ORDER BY grp, plural, ns, name";
	sqlite3_stmt *s;

	if (sqlite3_prepare_v2(db->handle, text, -1, &s, NULL) != SQLITE_OK)
		return -EIO;
	if (group) {
		bind_text(s, 1, group);
		bind_text(s, 2, plural);
	}
	return each(s, fn, arg);
}

int mesh_db_log(struct mesh_db *db, mesh_db_fn *fn, void *arg)
{
	static const char text[] = "SELECT grp, plural, ns, name, rv, body, before, type FROM log ORDER BY rv";
	sqlite3_stmt *s;

	if (sqlite3_prepare_v2(db->handle, text, -1, &s, NULL) != SQLITE_OK)
		return -EIO;
	return each(s, fn, arg);
}
