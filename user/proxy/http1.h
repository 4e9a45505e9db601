/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 messages (RFC 9112) as pure functions over bytes the caller holds: no I/O, no
 * allocation. A head is parsed from a buffer that starts at its first byte and may be given
 * again with more bytes; a body is walked in whatever pieces arrive. Strict: what two readers
 * could frame differently is refused. For servers and clients. Any thread.
 *
 *	struct mesh_http1_field fields[64];
 *	struct mesh_http1_head head;
 *	mesh_http1_head_init(&head, MESH_HTTP1_REQUEST, fields, 64, NULL);
 *	switch (mesh_http1_head_parse(&head, buf, len)) { MORE: read on, call again with all bytes so far;
 *		ERROR: answer mesh_http1_error_status(head.error); DONE: the body begins at buf + head.size }
 *	mesh_http1_body_request(&body, &head);
 *	then mesh_http1_body_next() until DONE: what follows is the next message
 */
#ifndef MESH_PROXY_HTTP1_H
#define MESH_PROXY_HTTP1_H

#include "core/slice.h"

enum mesh_http1_kind { MESH_HTTP1_REQUEST, MESH_HTTP1_RESPONSE };
enum mesh_http1_result { MESH_HTTP1_MORE, MESH_HTTP1_DONE, MESH_HTTP1_ERROR };

/** Every way to refuse a message: name, status to answer a request with (a bad response is a 502), text. */
#define MESH_HTTP1_ERRORS(X)                                                                                           \
	X(NONE, 0, "no error")                                                                                         \
	X(METHOD, 400, "the method is not a token")                                                                    \
	X(METHOD_LONG, 501, "the method is longer than any that is known")                                             \
	X(METHOD_UNKNOWN, 501, "the method is not known")                                                              \
	X(REQUEST_LINE, 400, "the request line is not 'method target version'")                                        \
	X(TARGET, 400, "the request target is not valid")                                                              \
	X(TARGET_LONG, 414, "the request line is too long")                                                            \
	X(VERSION, 505, "the version is neither HTTP/1.1 nor HTTP/1.0")                                                \
	X(STATUS_LINE, 400, "the status line is not 'HTTP/1.x status reason'")                                         \
	X(BARE_LF, 400, "a line ends in LF without CR")                                                                \
	X(BARE_CR, 400, "CR without LF")                                                                               \
	X(FOLD, 400, "a field is folded over two lines")                                                               \
	X(NAME, 400, "a field name is not a token")                                                                    \
	X(NAME_SPACE, 400, "white space between a field name and its colon")                                           \
	X(VALUE, 400, "a field value has a control character")                                                         \
	X(HEAD_LARGE, 431, "the header section is too large")                                                          \
	X(FIELDS_MANY, 431, "too many header fields")                                                                  \
	X(HOST_MISSING, 400, "an HTTP/1.1 request without Host")                                                       \
	X(HOST_MANY, 400, "more than one Host")                                                                        \
	X(HOST, 400, "Host is not a host and optional port")                                                           \
	X(LENGTH, 400, "Content-Length is not a number")                                                               \
	X(LENGTH_MANY, 400, "more than one Content-Length")                                                            \
	X(LENGTH_CODING, 400, "both Content-Length and Transfer-Encoding")                                             \
	X(CODING, 501, "a transfer coding other than chunked")                                                         \
	X(CODING_MANY, 400, "chunked is not the one and last transfer coding")                                         \
	X(CODING_OLD, 400, "Transfer-Encoding in an HTTP/1.0 message")                                                 \
	X(BODY_LARGE, 413, "the body is larger than allowed")                                                          \
	X(CHUNK_SIZE, 400, "a chunk's size is not a hexadecimal number")                                               \
	X(CHUNK_EXTENSION, 400, "a chunk extension is too long or has a control character")                            \
	X(CHUNK_END, 400, "a chunk does not end in CRLF")                                                              \
	X(TRAILER, 400, "a trailer field is not allowed")                                                              \
	X(TRAILER_LARGE, 431, "the trailer section is too large")

enum mesh_http1_error {
#define MESH_HTTP1_ERROR_ENUM(id, status, text) MESH_HTTP1_ERROR_##id,
	MESH_HTTP1_ERRORS(MESH_HTTP1_ERROR_ENUM)
#undef MESH_HTTP1_ERROR_ENUM
};

/** 0 for NONE. */
int mesh_http1_error_status(enum mesh_http1_error error);
const char *mesh_http1_error_text(enum mesh_http1_error error);
/** "Not Found" of 404; "Unknown" of what has no name. */
const char *mesh_http1_reason(int status);

/** Whether it is one of the methods that are accepted. */
bool mesh_http1_method_known(struct mesh_slice method);

/** Fields that the parser or the proxy treats by name; all others are OTHER. */
#define MESH_HTTP1_NAMES(X)                                                                                            \
	X(HOST, "host")                                                                                                \
	X(CONNECTION, "connection")                                                                                    \
	X(CONTENT_LENGTH, "content-length")                                                                            \
	X(TRANSFER_ENCODING, "transfer-encoding")                                                                      \
	X(UPGRADE, "upgrade")                                                                                          \
	X(EXPECT, "expect")                                                                                            \
	X(KEEP_ALIVE, "keep-alive")                                                                                    \
	X(PROXY_CONNECTION, "proxy-connection")                                                                        \
	X(TE, "te")                                                                                                    \
	X(TRAILER, "trailer")                                                                                          \
	X(HTTP2_SETTINGS, "http2-settings")                                                                            \
	X(SERVER, "server")                                                                                            \
	X(DATE, "date")                                                                                                \
	X(X_REQUEST_ID, "x-request-id")                                                                                \
	X(X_FORWARDED_FOR, "x-forwarded-for")                                                                          \
	X(X_FORWARDED_PROTO, "x-forwarded-proto")                                                                      \
	X(X_ENVOY_UPSTREAM_SERVICE_TIME, "x-envoy-upstream-service-time")

enum mesh_http1_name {
	MESH_HTTP1_OTHER,
#define MESH_HTTP1_NAME_ENUM(id, text) MESH_HTTP1_##id,
	MESH_HTTP1_NAMES(MESH_HTTP1_NAME_ENUM)
#undef MESH_HTTP1_NAME_ENUM
		MESH_HTTP1_NAME_COUNT
};

/** One field line. Both point into the head's bytes; value without white space around it. */
struct mesh_http1_field {
	struct mesh_slice name, value;
	enum mesh_http1_name id;
};

struct mesh_http1_limits {
	size_t line_bytes;   /* request line; 0: 8 KiB less than head_bytes, or half of it */
	size_t head_bytes;   /* whole head; 0: 60 KiB */
	uint64_t body_bytes; /* 0: unlimited */
};

/** How a message's body ends. */
enum mesh_http1_framing {
	MESH_HTTP1_NO_BODY,
	MESH_HTTP1_LENGTH,
	MESH_HTTP1_CHUNKED,
	MESH_HTTP1_CLOSE, /* at the end of the connection; never a request's, except of a tunnel */
};

struct mesh_http1_head {
	/* Results, complete after DONE; all slices point into the bytes given. */
	struct mesh_slice method, target; /* of a request */
	struct mesh_slice authority;      /* host[:port] the request is for: target's or else Host's; may be empty */
	struct mesh_slice path; /* target's path and query; "/" if it has none, "*" or empty (CONNECT). One that
				   begins with '?' has the path "/": http://host?query */
	int status;             /* of a response */
	struct mesh_slice reason;
	struct mesh_http1_field *fields; /* in order */
	size_t field_count;
	size_t size;             /* bytes of the head */
	size_t start;            /* where its first line begins: after empty lines before a request */
	uint64_t content_length; /* if framing is LENGTH */
	enum mesh_http1_framing
		framing;             /* as the fields say it; mesh_http1_body_response() adds what the method says */
	uint8_t minor;               /* 1: HTTP/1.1, 0: HTTP/1.0 */
	bool keep_alive;             /* by version and Connection */
	bool close;                  /* Connection: close */
	bool upgrade;                /* Connection: upgrade, and Upgrade is there */
	bool expect_continue;        /* Expect: 100-continue, of an HTTP/1.1 request */
	bool nominates;              /* Connection names fields beside close, keep-alive and upgrade */
	bool absolute;               /* the target is a URI with scheme and authority */
	enum mesh_http1_error error; /* after ERROR */
	/* Private. */
	enum mesh_http1_kind kind;
	struct mesh_http1_limits limits;
	size_t field_max, line, scan;
	const char *base;
	bool has_line;
	uint32_t seen; /* bit for each known name */
};

/** fields: room for count of them, kept by the caller while head is used. limits: NULL for the defaults; copied. */
void mesh_http1_head_init(struct mesh_http1_head *head, enum mesh_http1_kind kind, struct mesh_http1_field *fields,
			  size_t count, const struct mesh_http1_limits *limits);
/** Back to the state after init, for the next message. */
void mesh_http1_head_reset(struct mesh_http1_head *head);
/**
 * Parses on. data[0..len) always starts with the head's first byte; bytes seen before must not have changed, but the
 * buffer may have moved. Work is linear over all calls as long as it does not move.
 */
enum mesh_http1_result mesh_http1_head_parse(struct mesh_http1_head *head, const char *data, size_t len);
/** The first field of that name (any case), or NULL. */
const struct mesh_http1_field *mesh_http1_head_find(const struct mesh_http1_head *head, const char *name);
/** Whether a comma-separated list has the token (any case). RFC 9110 section 5.6.1. */
bool mesh_http1_list_has(struct mesh_slice list, struct mesh_slice token);

struct mesh_http1_body {
	enum mesh_http1_framing framing;
	enum mesh_http1_error error;
	uint64_t left;  /* of the length or of the current chunk */
	uint64_t total; /* payload bytes so far */
	uint64_t max;   /* 0: unlimited */
	uint32_t line;  /* bytes of the current chunk line or of the trailers */
	uint8_t state, name_len;
	char name[18]; /* of the current trailer field, to refuse some */
};

/** The body of a request whose head is DONE. Returns NONE, or BODY_LARGE if its length is known to be too large. */
enum mesh_http1_error mesh_http1_body_request(struct mesh_http1_body *body, const struct mesh_http1_head *head);
/** The body of a response to that method: none for HEAD, 1xx, 204, 304; CLOSE for a tunnel (101, CONNECT's 2xx). */
void mesh_http1_body_response(struct mesh_http1_body *body, const struct mesh_http1_head *head,
			      struct mesh_slice method);
/**
 * Walks on over the next bytes. *used of them belong to this message (its raw form), *payload is the run of content
 * among them, maybe empty. Returns MORE (call again with what follows: at once if *used < len), DONE, or ERROR (then
 * *used and *payload are what came before it). A CLOSE body is never DONE: the end of the connection ends it.
 */
enum mesh_http1_result mesh_http1_body_next(struct mesh_http1_body *body, const char *data, size_t len, size_t *used,
					    struct mesh_slice *payload);
/** Whether the whole body has been walked over. */
/** n bytes of a body of known length, at most those left, went another way. */
void mesh_http1_body_pass(struct mesh_http1_body *body, uint64_t n);
static inline bool mesh_http1_body_done(const struct mesh_http1_body *body)
{
	return body->framing == MESH_HTTP1_NO_BODY;
}

#endif
